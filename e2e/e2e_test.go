package e2e

import (
	"os"
	"testing"

	"github.com/vpcfabric/vpc/e2e/harness"
)

// bin has the binaries under test: VPC_BIN, or built once from this checkout.
var bin string

func TestMain(m *testing.M) { os.Exit(harness.Main(m, &bin)) }

// TestScripts runs testdata/script. One of them: -run TestScripts/NAME.
func TestScripts(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("the scripts make network namespaces and load programs: they need root")
	}
	harness.Run(t, harness.Config{
		Bin: bin, Dir: scripts(),
		Soak:  os.Getenv("VPC_SOAK") == "1",
		Alone: os.Getenv("VPC_ALONE") == "1",
	})
}

// scripts is the directory of the scripts; VPC_SCRIPTS names another one.
func scripts() string {
	if dir := os.Getenv("VPC_SCRIPTS"); dir != "" {
		return dir
	}
	return "testdata/script"
}

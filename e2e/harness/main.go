package harness

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// Main runs the tests of a package that drives the binaries, and returns the
// code to exit with. bin becomes their directory: VPC_BIN, or one that they are
// built into from this checkout. Without root nothing drives them, and it stays "".
func Main(m *testing.M, bin *string) int {
	*bin = os.Getenv("VPC_BIN")
	if os.Geteuid() == 0 && *bin == "" {
		dir, err := os.MkdirTemp("", "vpc-e2e-bin")
		if err == nil {
			defer os.RemoveAll(dir)
			err = build(dir)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		*bin = dir
	}
	return m.Run()
}

func build(dir string) error {
	const module = "github.com/vpcfabric/vpc/"
	cmd := exec.Command("go", "build", "-o", dir+string(filepath.Separator), module+"cmd/vpc", module+"cmd/vpcd")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go build: %w\n%s", err, out)
	}
	return nil
}

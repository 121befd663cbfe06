package workloads

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// The demo with containers, on an engine of the test's own.
func TestDemoWithContainers(t *testing.T) {
	need(t, "dockerd", "containerd", "docker", "unshare", "tar")
	e := newEngine(t)
	program := filepath.Join(t.TempDir(), "demo")
	build := exec.Command("go", "build", "-o", program, "github.com/vpcfabric/vpc/e2e/demo")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	demo := exec.CommandContext(ctx, program)
	demo.Env = append(os.Environ(), "VPC_BIN="+bin, "DOCKER_HOST=unix://"+e.socket())
	out, err := demo.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "app1 > app2") || strings.Contains(string(out), "left out") {
		t.Errorf("%v\n%s", err, out)
	}
	if left := e.docker("ps -aq") + e.docker("images -q vpc-demo*"); left != "" {
		t.Errorf("the engine still has %s", left)
	}
}

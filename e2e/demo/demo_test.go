package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vpcfabric/vpc/e2e/meter"
)

// built compiles the demo and what it shows, once per test.
func built(t *testing.T) (program, bin string) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("the demo makes network namespaces: it needs root")
	}
	dir := t.TempDir()
	const module = "github.com/vpcfabric/vpc/"
	build := exec.Command("go", "build", "-o", dir+"/", module+"e2e/demo", module+"cmd/vpc", module+"cmd/vpcd")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return filepath.Join(dir, "demo"), dir
}

// leakFree runs f between two looks at the machine. What the demo makes is
// named after it, which the meter takes for a host.
func leakFree(t *testing.T, bin string, f func() (host string)) {
	t.Helper()
	before, err := meter.Take(meter.Scope{Host: "demo", Bin: bin})
	if err != nil {
		t.Fatal(err)
	}
	host := f()
	// The scope is of the name that this run had; nothing had it before.
	after, err := meter.Take(meter.Scope{Host: host, Bin: bin})
	if err != nil {
		t.Fatal(err)
	}
	for _, ch := range meter.Compare(before, after) {
		if ch.After != "" {
			t.Errorf("leak: %v", ch)
		}
	}
}

func TestDemo(t *testing.T) {
	program, bin := built(t)
	leakFree(t, bin, func() string {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		demo := exec.CommandContext(ctx, program)
		demo.Env = append(os.Environ(), "VPC_BIN="+bin)
		demo.Cancel = func() error { return demo.Process.Signal(syscall.SIGTERM) }
		began := time.Now()
		out, err := demo.CombinedOutput()
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		if took := time.Since(began); took > 30*time.Second {
			t.Errorf("it took %s", took)
		}
		for _, want := range []string{
			"$ vpc create prod --cidr 10.0.0.0/16", "== Between the VPCs nothing passes", "no_endpoint",
			"== Revoking closes it for new connections", "== The web server is public", "nat egress", "no_route", "== Summary", "as expected\n", "nothing is left",
		} {
			if !bytes.Contains(out, []byte(want)) {
				t.Errorf("it does not say %q:\n%s", want, out)
			}
		}
		if bytes.Contains(out, []byte("FAILED")) {
			t.Errorf("%s", out)
		}
		return hostIn(t, string(out))
	})
}

func hostIn(t *testing.T, out string) string {
	t.Helper()
	_, after, ok := strings.Cut(out, "vpcd --name ")
	if !ok {
		t.Fatalf("no vpcd was started:\n%s", out)
	}
	return strings.Fields(after)[0]
}

// Interrupted, or with nobody reading on, it removes everything as well.
func TestDemoIsInterrupted(t *testing.T) {
	program, bin := built(t)
	for _, row := range []struct{ how, at string }{
		{"interrupt", "netns add"}, {"terminate", "netns add"}, {"closed pipe", "netns add"}, {"interrupt", "vpc nat add"},
	} {
		how := row.how
		t.Run(how+" at "+row.at, func(t *testing.T) {
			leakFree(t, bin, func() string {
				demo := exec.Command(program)
				demo.Env = append(os.Environ(), "VPC_BIN="+bin)
				out, err := demo.StdoutPipe()
				if err == nil {
					err = demo.Start()
				}
				if err != nil {
					t.Fatal(err)
				}
				limit := time.AfterFunc(time.Minute, func() { demo.Process.Kill() })
				defer limit.Stop()
				var said strings.Builder
				lines := bufio.NewScanner(out)
				for lines.Scan() && !strings.Contains(lines.Text(), row.at) {
					said.WriteString(lines.Text() + "\n")
				}
				switch how {
				case "interrupt":
					demo.Process.Signal(syscall.SIGINT)
				case "terminate":
					demo.Process.Signal(syscall.SIGTERM)
				}
				if how != "closed pipe" {
					for lines.Scan() {
					}
				}
				err = demo.Wait() // closes the pipe
				var exit *exec.ExitError
				if how != "closed pipe" && (!errors.As(err, &exit) || exit.ExitCode() != 1) {
					t.Errorf("it ended with %v, want exit code 1", err)
				}
				return hostIn(t, said.String())
			})
		})
	}
}

func TestSummaryFailsOnTheUnexpected(t *testing.T) {
	var out bytes.Buffer
	w := &world{out: &out}
	w.expect("it must", passes, outcome{"a > b", passes})
	if err := w.summary(); err != nil {
		t.Errorf("all is as expected: %v", err)
	}
	w.expect("it must not", blocked, outcome{"a > c", passes})
	if err := w.summary(); err == nil {
		t.Error("what was to be blocked passes, and it is no error")
	}
	if !strings.Contains(out.String(), "1 of 2 as expected") || !strings.Contains(out.String(), "FAILED") {
		t.Errorf("the table says\n%s", &out)
	}
}

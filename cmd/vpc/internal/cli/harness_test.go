package cli

import (
	"bytes"
	"context"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/vpcfabric/vpc/vpcd/client"
)

var update = flag.Bool("update", false, "write the golden files")

// bench is one terminal in front of a fake daemon.
type bench struct {
	*daemon
	t   *testing.T
	env map[string]string
	// tty says which streams are terminals: any of "in", "err".
	tty   string
	stdin string
	// after stands for time.After; by default no time passes.
	after func(time.Duration) <-chan time.Time
	// beside stands for the programs of the installation.
	beside func(program string, args []string) (int, error)
}

func newBench(t *testing.T) *bench {
	return &bench{daemon: newDaemon(t), t: t, env: map[string]string{},
		after: func(time.Duration) <-chan time.Time {
			c := make(chan time.Time, 1)
			c <- time.Time{}
			return c
		}}
}

// outcome is what one command left on the terminal.
type outcome struct {
	code        int
	out, errOut string
}

func (b *bench) runContext(ctx context.Context, args ...string) outcome {
	b.t.Helper()
	var out, errOut bytes.Buffer
	stdin := strings.NewReader(b.stdin)
	env := Env{
		Args: args, Stdin: stdin, Stdout: &out, Stderr: &errOut, Dial: client.New, After: b.after, Version: "1.2.3",
		Getenv: func(name string) string {
			if name == "VPC_SOCKET" && b.env[name] == "" {
				return b.socket
			}
			return b.env[name]
		},
		Now: func() time.Time { return time.Unix(0, 0).UTC() },
		IsTTY: func(stream any) bool {
			return stream == any(stdin) && strings.Contains(b.tty, "in") || stream == any(&errOut) && strings.Contains(b.tty, "err")
		},
		Beside: func(_ context.Context, _ Env, program string, args []string) (int, error) {
			return b.beside(program, args)
		},
	}
	code := Run(ctx, env)
	return outcome{code, out.String(), errOut.String()}
}

// run runs one command line, whose words have no spaces.
func (b *bench) run(line string) outcome {
	b.t.Helper()
	return b.runContext(b.t.Context(), strings.Fields(line)...)
}

// ok runs a command that must succeed and returns what it printed.
func (b *bench) ok(line string) string {
	b.t.Helper()
	got := b.run(line)
	if got.code != 0 || got.errOut != "" {
		b.t.Fatalf("vpc %s: exit %d\n%s", line, got.code, got.errOut)
	}
	return got.out
}

// world makes the objects that most tests start from.
func (b *bench) world() {
	b.t.Helper()
	for _, line := range []string{
		"create prod --cidr 10.0.0.0/16",
		"subnet add web --vpc prod --cidr 10.0.1.0/24",
		"sg add web --vpc prod",
		"sg add db --vpc prod",
		"sg allow web --in tcp/443 --from 0.0.0.0/0",
		"sg allow db --in tcp/5432 --from sg:web",
		"attach docker:web1 --subnet web --name web1 --ip 10.0.1.10",
		"eni add spare --subnet web --ip 10.0.1.11",
	} {
		b.ok(line)
	}
	b.calls = nil
}

// golden compares with testdata/NAME.golden.
func golden(t *testing.T, name, have string) {
	t.Helper()
	file := filepath.Join("testdata", name+".golden")
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(have), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if have != string(want) {
		t.Errorf("%s differs; go test -update writes it\n--- have\n%s--- want\n%s", file, have, want)
	}
}

package cli

import (
	"bytes"
	"os"
	"testing"
)

func TestRunBeside(t *testing.T) {
	var out bytes.Buffer
	env := Env{Stdout: &out, Stderr: &out}
	if code, err := runBeside(t.Context(), env, "sh", []string{"-c", "echo hello; exit 10"}); code != 10 || err != nil || out.String() != "hello\n" {
		t.Errorf("exit %d, %v, %q", code, err, out.String())
	}
	if _, err := runBeside(t.Context(), env, "no-such-program-of-vpc", nil); err == nil {
		t.Error("a program that is not there ran")
	}
}

func TestIsTerminal(t *testing.T) {
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	for name, stream := range map[string]any{"buffer": &bytes.Buffer{}, "/dev/null": null} {
		if isTerminal(stream) {
			t.Errorf("%s is taken for a terminal", name)
		}
	}
}

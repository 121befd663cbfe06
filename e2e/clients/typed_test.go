package clients

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestTypedCommands runs what people type: testdata/typed.txt, with the options
// that the CLI itself turns into parameters, in both of its generations.
func TestTypedCommands(t *testing.T) {
	h := startHost(t)
	script, err := os.ReadFile(filepath.Join("testdata", "typed.txt"))
	h.must(err)
	t.Run("of", func(t *testing.T) {
		for i, name := range []string{"aws1", "aws2"} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				mine := *h
				mine.T = t
				c := mine.tool(name, mine.env("00000000020"+string(rune('0'+i)))).(cli)
				typed(t, c, string(script))
			})
		}
	})
	h.verify()
}

var reference = regexp.MustCompile(`\$\w+`)

// typed runs a script. A line is [NAME =] COMMAND [=> OUTPUT or =! CODE]; a name
// keeps the output, and $NAME is it.
func typed(t *testing.T, c cli, script string) {
	t.Helper()
	kept := map[string]string{}
	for line := range strings.Lines(script) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		line = reference.ReplaceAllStringFunc(line, func(name string) string { return kept[name[1:]] })
		command, want, checked := strings.Cut(line, " => ")
		command, code, fails := strings.Cut(command, " =! ")
		name, rest, keeps := strings.Cut(command, " = ")
		if keeps {
			command = rest
		}
		out, err := c.run(words(command)...)
		got := strings.Join(strings.Fields(string(out)), " ")
		switch {
		case fails && codeOf(err) != code:
			t.Errorf("%s: %v, want %s", command, err, code)
		case !fails && err != nil:
			t.Fatalf("%s: %v", command, err)
		case checked && got != want:
			t.Errorf("%s: %q, want %q", command, got, want)
		}
		if keeps {
			kept[name] = got
		}
	}
}

// words splits a command as a shell would that knows single quotes only.
func words(line string) (out []string) {
	for i, part := range strings.Split(line, "'") {
		if i%2 == 1 {
			out = append(out, part)
		} else {
			out = append(out, strings.Fields(part)...)
		}
	}
	return out
}

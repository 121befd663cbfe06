package cli

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// TestEveryCommandHelps: each has a summary and an example that names it.
func TestEveryCommandHelps(t *testing.T) {
	s := &session{}
	count := 0
	var look func(cmd *cobra.Command)
	look = func(cmd *cobra.Command) {
		count++
		for _, sub := range cmd.Commands() {
			look(sub)
		}
		path := cmd.CommandPath()
		if cmd.Short == "" || !strings.HasPrefix(cmd.Example, "  vpc") {
			t.Errorf("%s: summary %q, example %q", path, cmd.Short, cmd.Example)
		}
		for line := range strings.SplitSeq(cmd.Example, "\n") {
			if !strings.HasPrefix(line, "  "+path) {
				t.Errorf("%s: its example is of another command: %s", path, line)
			}
		}
	}
	look(s.root())
	if count < 50 {
		t.Errorf("only %d commands were seen", count)
	}
}

// TestExamplesParse: an example that has the wrong flags or too few arguments
// would teach it to users.
func TestExamplesParse(t *testing.T) {
	root := (&session{}).root()
	walk(root, func(cmd *cobra.Command) {
		for line := range strings.SplitSeq(cmd.Example, "\n") {
			line, _, _ = strings.Cut(line, " > ")
			line = strings.NewReplacer(`"web servers"`, "text", `"public"`, "text").Replace(line)
			found, rest, err := root.Find(strings.Fields(line)[1:])
			if err != nil || found.Name() == "help" {
				continue
			}
			if err := found.ParseFlags(rest); err != nil {
				t.Errorf("%s: %v", line, err)
				continue
			}
			if err := found.ValidateArgs(found.Flags().Args()); err != nil {
				t.Errorf("%s: %v", line, err)
			}
		}
	})
}

func TestAliases(t *testing.T) {
	root := (&session{}).root()
	for typed, want := range map[string]string{"add": "vpc create", "ls": "vpc list", "describe": "vpc show", "get": "vpc show", "rm": "vpc delete",
		"subnet create": "vpc subnet add", "subnet delete": "vpc subnet rm", "subnet del": "vpc subnet rm", "sg ls": "vpc sg list", "eni get": "vpc eni show"} {
		if cmd, _, err := root.Find(strings.Fields(typed)); err != nil || cmd.CommandPath() != want {
			t.Errorf("vpc %s is %s, want %s", typed, cmd.CommandPath(), want)
		}
	}
}

func TestHelp(t *testing.T) {
	b := newBench(t)
	for _, line := range []string{"", "--help", "subnet --help", "help subnet add", "sg allow -h"} {
		if out := b.ok(line); !strings.Contains(out, "Examples:") {
			t.Errorf("vpc %s:\n%s", line, out)
		}
	}
}

func TestGen(t *testing.T) {
	b := newBench(t)
	dir := t.TempDir()
	b.ok("gen man " + dir)
	for _, page := range []string{"vpc.1", "vpc-subnet-add.1", "vpc-delete.1"} {
		text, err := os.ReadFile(filepath.Join(dir, page))
		if err != nil || !bytes.Contains(text, []byte(".SH EXAMPLE")) {
			t.Errorf("%s: %v", page, err)
		}
	}
	file := filepath.Join(dir, "reference.md")
	b.ok("gen reference " + file)
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"\n## vpc subnet add\n", "--socket", "Also: create", "vpc attach docker:web1"} {
		if !strings.Contains(string(text), want) {
			t.Errorf("the reference lacks %q", want)
		}
	}
	if strings.Contains(string(text), "vpc gen") {
		t.Error("the reference shows a hidden command")
	}
}

func TestCompletion(t *testing.T) {
	b := newBench(t)
	b.world()
	b.ok("pl add office --max 1")
	for _, shell := range []string{"bash", "zsh", "fish"} {
		if out := b.ok("completion " + shell); !strings.Contains(out, "vpc") {
			t.Errorf("%s: %q", shell, out)
		}
	}
	for typed, want := range map[string]string{"show|": "prod", "subnet|rm|": "web", "attach|docker:x|--subnet|": "web",
		"subnet|list|--vpc|": "prod", "detach|": "web1", "sg|allow|": "db", "list|-o|": "yaml", "acl|show|": "default", "rt|rm|": "main", "rt|associate|main|--subnet|": "web", "route|add|": "main", "route|set|main|0.0.0.0/0|--to|": "local", "acl|rule|add|default|": "deny", "acl|associate|default|--subnet|": "web", "pl|rm|": "office", "attach|": "netns:"} {
		args := append([]string{"__complete"}, strings.Split(typed, "|")...)
		if got := b.runContext(t.Context(), args...); !strings.Contains("\n"+got.out, "\n"+want) {
			t.Errorf("%s: %q %s", typed, got.out, got.errOut)
		}
	}
}

package hygiene

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"
)

// rules are all checks, by the name of their test.
var rules = []struct {
	name  string
	check func(*tree) []violation
}{
	{"imports", checkImports},
	{"third-parties", checkThirdParties},
	{"pure", checkPure},
	{"shape", checkShape},
	{"size", checkSize},
	{"interfaces", checkInterfaces},
	{"packages", checkPackages},
	{"words", checkWords},
	{"sleeps", checkSleeps},
	{"licences", checkLicences},
	{"links", checkLinks},
}

func TestHouse(t *testing.T) {
	here := mustCheckout(t)
	for _, rule := range rules {
		t.Run(rule.name, func(t *testing.T) {
			for _, v := range rule.check(here) {
				t.Errorf("%s: %s", v.where, v.what)
			}
		})
	}
}

// TestPlanted runs every check over a tree in which each rule is broken, and
// compares what it finds with what was planted: no more, no less.
func TestPlanted(t *testing.T) {
	planted, err := txtar.ParseFile("testdata/planted.txtar")
	if err != nil {
		t.Fatal(err)
	}
	files, want := map[string][]byte{}, map[string][]string{}
	for _, f := range planted.Files {
		if rule, ok := strings.CutPrefix(f.Name, "want/"); ok {
			want[rule] = strings.Split(strings.TrimSpace(string(grow(f.Data))), "\n")
			continue
		}
		files[f.Name] = grow(f.Data)
	}
	wild, err := parse(files)
	if err != nil {
		t.Fatal(err)
	}
	for _, rule := range rules {
		t.Run(rule.name, func(t *testing.T) {
			var got []string
			for _, v := range rule.check(wild) {
				got = append(got, v.where+" "+v.what)
			}
			slices.Sort(got)
			if len(want[rule.name]) == 0 {
				t.Fatalf("nothing planted for %s", rule.name)
			}
			slices.Sort(want[rule.name])
			same := slices.EqualFunc(got, want[rule.name], strings.HasPrefix)
			if !same {
				t.Errorf("found\n\t%s\nplanted\n\t%s", strings.Join(got, "\n\t"), strings.Join(want[rule.name], "\n\t"))
			}
		})
	}
}

// grow lets the archive stay short and free of forbidden words: a line
// "//grow N" becomes N empty comments, and a dot between guillemets vanishes.
func grow(data []byte) []byte {
	var out strings.Builder
	for _, line := range strings.SplitAfter(string(data), "\n") {
		var n int
		if _, err := fmt.Sscanf(strings.TrimSpace(line), "//grow %d", &n); err == nil {
			out.WriteString(strings.Repeat("//\n", n))
			continue
		}
		out.WriteString(strings.ReplaceAll(line, "«.»", ""))
	}
	return []byte(out.String())
}

// TestDesignNamesTheRules keeps the document for newcomers beside the table
// that holds them to it.
func TestDesignNamesTheRules(t *testing.T) {
	design, err := os.ReadFile("../../DESIGN.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, rule := range importRules {
		for _, p := range rule.packages {
			name := strings.TrimSuffix(p, "/...")
			if !strings.Contains(string(design), "`"+name) {
				t.Errorf("DESIGN.md does not name %s: a rule that nobody can read is a trap", name)
			}
		}
	}
}

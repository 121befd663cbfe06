package parity

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// root is where go.mod is.
const root = "../../.."

// packages that TEST in testdata/status.txt may be of, by their last name.
var packages = map[string]string{
	"service": "vpcd/internal/service", "parity": "vpcd/internal/parity",
	"clients": "e2e/clients", "workloads": "e2e/workloads",
}

// traffic are the commands of a script that send packets.
var traffic = regexp.MustCompile(`(?m)^(ok|blocked|forge|maxsize|arrives|hold) `)

// prober is what a Go test that sends packets imports.
const prober = `"github.com/vpcfabric/vpc/e2e/probe"`

// evidence is a test that testdata/status.txt names.
type evidence struct {
	// where is a script, or a package's folder with the test's name behind #.
	where string
	text  string // of the script, or of all of the package's tests
	// packets tells whether it sends some.
	packets bool
	script  bool
}

// findEvidence fails where there is no such test.
func findEvidence(name string) (evidence, error) {
	pkg, test, isGo := strings.Cut(name, ".")
	if !isGo {
		return findScript(name)
	}
	dir, ok := packages[pkg]
	if !ok {
		return evidence{}, fmt.Errorf("%s: no package of that name may be named", name)
	}
	files, err := filepath.Glob(filepath.Join(root, dir, "*_test.go"))
	if err != nil {
		return evidence{}, err
	}
	e := evidence{where: dir + "#" + test}
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			return evidence{}, err
		}
		e.text += string(text)
	}
	if !strings.Contains(e.text, "\nfunc "+test+"(t *testing.T) {") {
		return evidence{}, fmt.Errorf("%s: %s has no such test", name, dir)
	}
	e.packets = strings.Contains(e.text, prober)
	return e, nil
}

// findScript takes a whole name or the first word of one.
func findScript(name string) (evidence, error) {
	dir := filepath.Join(root, "e2e/testdata/script")
	files, err := filepath.Glob(filepath.Join(dir, name+"_*.txtar"))
	if err != nil || len(files) == 0 {
		files = []string{filepath.Join(dir, name+".txtar")}
	}
	if len(files) != 1 {
		return evidence{}, fmt.Errorf("%s: %d scripts begin so", name, len(files))
	}
	text, err := os.ReadFile(files[0])
	if err != nil {
		return evidence{}, err
	}
	e := evidence{text: string(text), script: true, packets: traffic.Match(text)}
	e.where, err = filepath.Rel(root, files[0])
	return e, err
}

// shows tells what keeps e from being the evidence for a status, or "". via is
// how scripts spell the action.
func (e evidence) shows(s status, via string) string {
	if s.status != "enforced" {
		return ""
	}
	if !e.packets {
		return "sends no packet"
	}
	if e.script && (via == "" || !strings.Contains(e.text, via)) {
		return "has no line with " + via
	}
	if !e.script && !strings.Contains(e.text, s.action) && (via == "" || !strings.Contains(e.text, via)) {
		return "does not use the action"
	}
	return ""
}

func TestEvidence(t *testing.T) {
	for _, c := range []struct{ test, status, action, via, want string }{
		{"sg02", "enforced", "AuthorizeSecurityGroupIngress", "vpc sg allow", ""},
		{"sg02", "enforced", "AuthorizeSecurityGroupIngress", "vpc no such", "has no line with vpc no such"},
		{"delete_names_what_stands_in_the_way", "enforced", "DeleteVpc", "vpc delete", "sends no packet"},
		{"service.TestDryRun", "enforced", "CreateVpc", "", "sends no packet"},
		{"service.TestDryRun", "obeyed", "CreateVpc", "", ""},
		{"workloads.TestContainerOnKeptInterface", "enforced", "NoSuchAction", "", "does not use the action"},
	} {
		e, err := findEvidence(c.test)
		if err != nil {
			t.Error(err)
		}
		if got := e.shows(status{param{action: c.action}, c.status, c.test}, c.via); got != c.want {
			t.Errorf("%s for %s %s: %q, want %q", c.test, c.status, c.action, got, c.want)
		}
	}
	for _, none := range []string{"iso", "nothing", "service.TestNothing", "elsewhere.TestDryRun"} {
		if _, err := findEvidence(none); err == nil {
			t.Errorf("%s was found", none)
		}
	}
}

package hygiene

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// importRule says which of our packages a package may import. The first rule
// that matches a folder holds; "x/..." matches x and everything below it. Test
// files are free, but for the rules of third parties.
type importRule struct {
	packages []string
	may      []string
	reason   string
}

var importRules = []importRule{
	{[]string{"vpcd/api/gen"}, nil,
		"the generator reads models and writes Go: it cannot depend on what it writes"},
	{[]string{"vpcd/api", "vpcd/internal/seal", "dataplane/spec", "dataplane/delta", "ipam/...", "bpf"}, nil,
		"a leaf: everybody can read it without reading anything else"},
	{[]string{"bpf/fuzz"}, nil,
		"tests of the programs' C in user space; nothing builds on them"},
	{[]string{"vpcd/internal/host", "vpcd/internal/record"}, []string{"vpcd/api"},
		"a leaf over the API's shapes, shared by packages that must not know each other"},
	{[]string{"gateways/...", "dataplane/classify"}, []string{"dataplane/spec", "ipam/..."},
		"pure builders: typed input in, fragments of spec out"},
	{[]string{"vpcd/internal/plan", "vpcd/internal/trace"},
		[]string{"vpcd/api", "vpcd/internal/record", "dataplane/spec", "dataplane/classify", "gateways/...", "ipam/..."},
		"pure: the same snapshot and facts give the same plan, on any machine"},
	{[]string{"vpcd/internal/store"}, []string{"vpcd/api", "vpcd/internal/record"},
		"the store keeps records; what they mean is the service's"},
	{[]string{"vpcd/internal/store/storetest"}, []string{"vpcd/api", "vpcd/internal/record", "vpcd/internal/store"},
		"a store for tests, and nothing more"},
	{[]string{"vpcd/internal/service"},
		[]string{"vpcd/api", "vpcd/internal/record", "vpcd/internal/store", "vpcd/internal/host", "vpcd/internal/seal", "ipam/..."},
		"an action validates and writes one transaction; the kernel follows by itself"},
	{[]string{"vpcd/internal/wire/ec2query", "vpcd/internal/wire/sigv4/..."}, []string{"vpcd/api"},
		"a codec and a check of signatures: they are read, tested and fuzzed without a server"},
	{[]string{"vpcd/internal/wire/..."},
		[]string{"vpcd/api", "vpcd/internal/service", "vpcd/internal/host", "vpcd/internal/seal", "vpcd/internal/wire/..."},
		"a wire encodes actions; behaviour in a wire would exist on that wire only"},
	{[]string{"vpcd/internal/parity"}, nil,
		"tests of the EC2 wire from the outside; nothing builds on them"},
	{[]string{"vpcd/internal/attach"}, []string{"vpcd/api", "vpcd/internal/host", "vpcd/internal/record", "dataplane/spec"},
		"it says what a target is; moving links is the data plane's"},
	{[]string{"vpcd/internal/agent"},
		[]string{"vpcd/api", "vpcd/internal/record", "vpcd/internal/plan", "vpcd/internal/attach", "vpcd/internal/trace",
			"vpcd/internal/host", "dataplane", "dataplane/spec"},
		"the agent reads a Source: on a host without a store the same loop runs"},
	{[]string{"vpcd/internal/cluster"}, []string{"vpcd/api", "vpcd/internal/record", "vpcd/internal/host", "vpcd/internal/agent"},
		"hosts speak over a stream of records; no host is trusted with the store"},
	{[]string{"vpcd/internal/flowlog", "vpcd/internal/metrics"},
		[]string{"vpcd/api", "vpcd/internal/agent", "vpcd/internal/record", "dataplane", "dataplane/spec"},
		"readers: they look and never change"},
	{[]string{"vpcd/client"}, []string{"vpcd/api"},
		"a client is a copy of the wire's other side; others will link it into their programs"},
	{[]string{"vpcd", "cmd/vpcd/..."}, []string{"..."},
		"composition: everything meets here"},
	{[]string{"cmd/vpc/..."}, []string{"vpcd/api", "vpcd/client", "cmd/vpc/..."},
		"the command line can do what any client can do, and runs without privileges"},
	{[]string{"dataplane"}, []string{"dataplane/...", "gateways/...", "bpf"},
		"the data plane applies a spec; where it came from is not its business"},
	{[]string{"dataplane/..."}, []string{"dataplane/spec", "dataplane/delta", "dataplane/classify", "dataplane/nl", "bpf"},
		"drivers do not know each other: the order of phases lives in one place"},
	{[]string{"e2e/..."}, []string{"vpcd/api", "vpcd/client", "e2e/..."},
		"black box: a test that reaches inside proves less than a user would see"},
}

// exclusive gives a foreign module's only importers, tests included.
var exclusive = []struct {
	module string
	only   []string
	reason string
}{
	{"github.com/vishvananda/netlink", []string{"dataplane/nl"}, "one place speaks netlink, so one fake stands for the kernel"},
	{"github.com/vishvananda/netns", []string{"dataplane/nl"}, "threads that change namespaces are dangerous: one place is careful"},
	{"github.com/google/nftables", []string{"dataplane/nft"}, "one table, one owner, one atomic batch"},
	{"github.com/coreos/go-iptables", []string{"dataplane/ipt"}, "other people's chains are touched in one small place"},
	{"github.com/cilium/ebpf", []string{"dataplane/progs", "dataplane/maps", "dataplane/flows", "bpf"}, "programs and maps have one loader, one writer, one sweeper"},
	{"github.com/spf13/cobra", []string{"cmd/..."}, "command lines belong to commands"},
	{"go.etcd.io", []string{"vpcd/internal/store/..."}, "what is stored where is known to the store alone"},
}

// pure packages give the same answer to the same question.
var pure = struct {
	packages, packagesNever, callsNever []string
	reason                              string
}{
	[]string{"vpcd/internal/plan", "vpcd/internal/trace", "gateways/...", "dataplane/classify", "dataplane/spec", "ipam/..."},
	[]string{"os", "os/exec", "net/http", "syscall", "golang.org/x/sys/unix", "math/rand", "math/rand/v2", "crypto/rand"},
	[]string{"time.Now", "time.Since", "time.After", "time.Sleep", "net.Dial", "net.Listen", "net.Interfaces", "net.LookupHost"},
	"pure: a golden file or a property can state all of its behaviour",
}

// Limits of the import graph, measured on projects that stayed calm.
const (
	maxFanOut     = 8
	maxFanOutRoot = 12
	maxChain      = 7
)

var compositionRoots = []string{"vpcd", "cmd/vpcd/...", "dataplane"}

func checkImports(t *tree) (found []violation) {
	for _, p := range sorted(t.packages) {
		rule := ruleOf(p.dir)
		if rule == nil {
			found = append(found, violation{p.dir, "has no import rule: give it a row in importRules and a line in DESIGN.md"})
			continue
		}
		for _, s := range p.files {
			for imported, line := range s.imports() {
				ours, ok := own(imported)
				if !ok || s.test || ours == p.dir || matchesAny(rule.may, ours) {
					continue
				}
				found = append(found, violation{fmt.Sprintf("%s:%d", s.path, line),
					fmt.Sprintf("%s must not import %s: %s", p.dir, ours, rule.reason)})
			}
		}
	}
	return found
}

func checkThirdParties(t *tree) (found []violation) {
	for _, p := range sorted(t.packages) {
		for _, s := range p.files {
			for imported, line := range s.imports() {
				for _, rule := range exclusive {
					if (imported == rule.module || strings.HasPrefix(imported, rule.module+"/")) && !matchesAny(rule.only, p.dir) {
						found = append(found, violation{fmt.Sprintf("%s:%d", s.path, line),
							fmt.Sprintf("only %s may import %s: %s", strings.Join(rule.only, ", "), rule.module, rule.reason)})
					}
				}
			}
		}
	}
	return found
}

func checkPure(t *tree) (found []violation) {
	for _, p := range sorted(t.packages) {
		if !matchesAny(pure.packages, p.dir) {
			continue
		}
		for _, s := range p.files {
			if s.test {
				continue
			}
			for imported, line := range s.imports() {
				if slices.Contains(pure.packagesNever, imported) {
					found = append(found, violation{fmt.Sprintf("%s:%d", s.path, line), "imports " + imported + ": " + pure.reason})
				}
			}
			for _, call := range pure.callsNever {
				for _, where := range uses(s, call) {
					found = append(found, violation{where, "uses " + call + ": " + pure.reason})
				}
			}
		}
	}
	return found
}

// checkShape holds the graph of our own packages flat.
func checkShape(t *tree) (found []violation) {
	chains := map[string]int{}
	for _, p := range sorted(t.packages) {
		limit := maxFanOut
		if matchesAny(compositionRoots, p.dir) {
			limit = maxFanOutRoot
		}
		if n := len(ownImports(p)); n > limit {
			found = append(found, violation{p.dir, fmt.Sprintf("imports %d of our packages, more than %d: it knows too much at once", n, limit)})
		}
		if n := chain(t, p.dir, chains); n > maxChain {
			found = append(found, violation{p.dir, fmt.Sprintf("stands on a chain of %d packages, more than %d: too much to read before it makes sense", n, maxChain)})
		}
	}
	return found
}

// chain is the number of our packages on the longest way down from dir.
func chain(t *tree, dir string, known map[string]int) int {
	if n, ok := known[dir]; ok {
		return n
	}
	known[dir] = 1 // Go refuses cycles; this ends one that does not compile.
	longest := 0
	if p := t.packages[dir]; p != nil {
		for _, next := range ownImports(p) {
			longest = max(longest, chain(t, next, known))
		}
	}
	known[dir] = longest + 1
	return longest + 1
}

func ownImports(p *pkg) []string {
	seen := map[string]bool{}
	for _, s := range p.files {
		if s.test {
			continue
		}
		for imported := range s.imports() {
			if ours, ok := own(imported); ok {
				seen[ours] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(seen))
}

// own returns the folder of one of our packages.
func own(imported string) (string, bool) {
	if imported == module {
		return ".", true
	}
	return strings.CutPrefix(imported, module+"/")
}

func ruleOf(dir string) *importRule {
	for i := range importRules {
		if matchesAny(importRules[i].packages, dir) {
			return &importRules[i]
		}
	}
	return nil
}

func matchesAny(patterns []string, dir string) bool {
	return slices.ContainsFunc(patterns, func(pattern string) bool {
		below, wide := strings.CutSuffix(pattern, "...")
		if !wide {
			return pattern == dir
		}
		return strings.HasPrefix(dir+"/", below)
	})
}

// sorted returns the packages in the order of their folders.
func sorted(packages map[string]*pkg) []*pkg {
	var list []*pkg
	for _, dir := range slices.Sorted(maps.Keys(packages)) {
		list = append(list, packages[dir])
	}
	return list
}

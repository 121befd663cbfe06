package hygiene

import (
	"bytes"
	"fmt"
	"go/ast"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"
)

// Limits of size, measured on projects that stayed calm: what separates them
// from heavy ones is the tail.
const (
	maxFile      = 600
	maxFunction  = 100
	maxInterface = 8
	maxC         = 150
	maxH         = 400
	untestedCode = 50 // lines a package may have without a test file
)

// vague names say where code was put, not what it is.
var vague = []string{"util", "utils", "common", "types", "helper", "helpers", "misc", "shared", "base", "lib"}

// words stay out of every file. They are put together here so that this file
// keeps its own rule.
var words = []struct{ word, reason string }{
	{"/wo" + "rk/", "a path of one machine means nothing on another"},
	{"shared" + "/design", "the project explains itself: say it here, or in DESIGN.md"},
	{"shared" + "/reference", "the project explains itself: say it here, or in DESIGN.md"},
	{"TO" + "DO", "what is not built is refused or written down in the README, not hidden in code"},
	{"FIX" + "ME", "a known fault is fixed or has an issue"},
	{"XX" + "X:", "a known fault is fixed or has an issue"},
	{"helper" + " session", "the text is about the product, not about how it was written"},
}

// wordsExempt are texts that others wrote.
var wordsExempt = []string{"vpcd/api/model/ec2.json", "LICENSE", "bpf/LICENSE", "go.sum"}

// sleeps are the places that may call time.Sleep, each with its reason. An
// entry that is no longer needed is a violation too.
var sleeps = map[string]string{
	"e2e/meter/loss_test.go": "the outage that the meter must see lasts that long; the other is the pause of a bounded poll",
}

func checkSize(t *tree) (found []violation) {
	for _, p := range sorted(t.packages) {
		for _, s := range p.files {
			if s.generated {
				continue
			}
			if s.lines > maxFile {
				found = append(found, tooLong(s.path, "file", s.lines, maxFile))
			}
			for _, decl := range s.syntax.Decls {
				fn, ok := decl.(*ast.FuncDecl)
				if !ok {
					continue
				}
				n := s.fset.Position(fn.End()).Line - s.fset.Position(fn.Pos()).Line + 1
				if n > maxFunction {
					found = append(found, tooLong(s.line(fn), "function "+fn.Name.Name, n, maxFunction))
				}
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(t.files)) {
		limit, ok := map[string]int{".c": maxC, ".h": maxH}[path.Ext(name)]
		if n := lines(t.files[name]); ok && n > limit {
			found = append(found, tooLong(name, "file", n, limit))
		}
	}
	return found
}

func tooLong(where, what string, n, limit int) violation {
	return violation{where, fmt.Sprintf("%s has %d lines, more than %d: nobody holds it in mind at once", what, n, limit)}
}

func checkInterfaces(t *tree) (found []violation) {
	for _, p := range sorted(t.packages) {
		declared := interfaces(p)
		for _, name := range slices.Sorted(maps.Keys(declared)) {
			if n := methods(declared[name].node, declared); n > maxInterface && !declared[name].file.generated {
				found = append(found, violation{declared[name].file.line(declared[name].node),
					fmt.Sprintf("interface %s has %d methods, more than %d: its fake is a second implementation", name, n, maxInterface)})
			}
		}
	}
	return found
}

type declaration struct {
	node *ast.InterfaceType
	file *source
}

func interfaces(p *pkg) map[string]declaration {
	found := map[string]declaration{}
	for _, s := range p.files {
		ast.Inspect(s.syntax, func(n ast.Node) bool {
			if spec, ok := n.(*ast.TypeSpec); ok {
				if it, ok := spec.Type.(*ast.InterfaceType); ok {
					found[spec.Name.Name] = declaration{it, s}
				}
			}
			return true
		})
	}
	return found
}

// methods counts an interface's methods, those of embedded interfaces of the
// same package included; another package's counts as one.
func methods(it *ast.InterfaceType, declared map[string]declaration) (n int) {
	for _, field := range it.Methods.List {
		if len(field.Names) > 0 {
			n += len(field.Names)
			continue
		}
		id, ok := field.Type.(*ast.Ident)
		if inner, known := declared[fmt.Sprint(id)]; ok && known && inner.node != it {
			n += methods(inner.node, declared)
		} else {
			n++
		}
	}
	return n
}

func checkPackages(t *tree) (found []violation) {
	for _, p := range sorted(t.packages) {
		code, tests, documented := 0, 0, false
		for _, s := range p.files {
			documented = documented || !s.generated && s.syntax.Doc != nil
			switch {
			case s.test:
				tests++
			case !s.generated:
				code += s.lines
			}
		}
		if !documented {
			found = append(found, violation{p.dir, "has no package comment: the first sentence a newcomer reads is missing"})
		}
		if slices.Contains(vague, p.name) {
			found = append(found, violation{p.dir, "package " + p.name + " says where code was put, not what it is: such packages only grow"})
		}
		if tests == 0 && code > untestedCode {
			found = append(found, violation{p.dir, fmt.Sprintf("has %d lines and no test file: what is not tested is not known to work", code)})
		}
	}
	return found
}

func checkWords(t *tree) (found []violation) {
	for _, name := range slices.Sorted(maps.Keys(t.files)) {
		if slices.Contains(wordsExempt, name) {
			continue
		}
		for i, line := range bytes.Split(t.files[name], []byte("\n")) {
			for _, w := range words {
				if bytes.Contains(line, []byte(w.word)) {
					found = append(found, violation{fmt.Sprintf("%s:%d", name, i+1), fmt.Sprintf("says %q: %s", w.word, w.reason)})
				}
			}
		}
	}
	return found
}

func checkSleeps(t *tree) (found []violation) {
	needed := map[string]bool{}
	for _, p := range sorted(t.packages) {
		for _, s := range p.files {
			for _, where := range uses(s, "time.Sleep") {
				needed[s.path] = true
				if sleeps[s.path] == "" {
					found = append(found, violation{where, "calls time.Sleep: wait for the event itself, with a bound; a sleep is too short on a slow machine and too long on a fast one"})
				}
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(sleeps)) {
		if _, exists := t.files[name]; exists && !needed[name] {
			found = append(found, violation{name, "no longer sleeps: take it off the list"})
		}
	}
	return found
}

// links are Markdown's; group 1 is the target without its fragment.
var links = regexp.MustCompile(`\]\(([^)#\s]+)[^)]*\)`)

func checkLinks(t *tree) (found []violation) {
	for _, name := range slices.Sorted(maps.Keys(t.files)) {
		if path.Ext(name) != ".md" {
			continue
		}
		for i, line := range bytes.Split(t.files[name], []byte("\n")) {
			for _, match := range links.FindAllSubmatch(line, -1) {
				to := string(match[1])
				if !strings.Contains(to, ":") && !t.has(path.Join(path.Dir(name), to)) {
					found = append(found, violation{fmt.Sprintf("%s:%d", name, i+1), to + " does not exist: a dead link costs every reader the search"})
				}
			}
		}
	}
	return found
}

// has tells whether a text file, or a folder with one, is in the tree.
func (t *tree) has(name string) bool {
	for f := range t.files {
		if f == name || strings.HasPrefix(f, name+"/") {
			return true
		}
	}
	return false
}

// uses returns the lines that mention a function of a standard package.
func uses(s *source, function string) (where []string) {
	pkgName, name, _ := strings.Cut(function, ".")
	ast.Inspect(s.syntax, func(n ast.Node) bool {
		if sel, ok := n.(*ast.SelectorExpr); ok && sel.Sel.Name == name {
			if id, ok := sel.X.(*ast.Ident); ok && id.Name == pkgName {
				where = append(where, s.line(n))
			}
		}
		return true
	})
	return where
}

// spdx is what the kernel's loader and a distribution's lawyers both accept.
const spdx = "SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0"

func checkLicences(t *tree) (found []violation) {
	for _, name := range slices.Sorted(maps.Keys(t.files)) {
		if ext := path.Ext(name); ext != ".c" && ext != ".h" {
			continue
		}
		// A build constraint may stand before it: Go must not compile C files.
		head := bytes.Join(bytes.SplitN(t.files[name], []byte("\n"), 4)[:min(3, lines(t.files[name]))], []byte("\n"))
		if !bytes.Contains(head, []byte(spdx)) {
			found = append(found, violation{name, "does not say at its top " + spdx + ": the kernel lets only GPL programs call its helpers, and the rest of the project is Apache-2.0"})
		}
	}
	return found
}

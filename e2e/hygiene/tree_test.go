package hygiene

import (
	"bytes"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
)

const module = "github.com/vpcfabric/vpc"

// tree is the sources as the checks see them. Build tags are ignored: a file
// counts whatever platform it is for.
type tree struct {
	files    map[string][]byte // every text file, by slash path from the root
	packages map[string]*pkg   // Go packages by folder, "." for the root
}

type pkg struct {
	dir   string
	name  string
	files []*source
}

type source struct {
	path      string
	test      bool
	generated bool
	lines     int
	syntax    *ast.File
	fset      *token.FileSet
}

// violation is one place that breaks one rule.
type violation struct {
	where string // path, or path:line, or folder
	what  string
}

// imports returns what a file imports and the line of each.
func (s *source) imports() map[string]int {
	paths := map[string]int{}
	for _, spec := range s.syntax.Imports {
		if p, err := strconv.Unquote(spec.Path.Value); err == nil {
			paths[p] = s.fset.Position(spec.Pos()).Line
		}
	}
	return paths
}

// line returns "path:line" of a node.
func (s *source) line(n ast.Node) string {
	return s.path + ":" + strconv.Itoa(s.fset.Position(n.Pos()).Line)
}

// parse makes a tree of named contents.
func parse(files map[string][]byte) (*tree, error) {
	t := &tree{files: files, packages: map[string]*pkg{}}
	var failures []error
	for name, content := range files {
		if !strings.HasSuffix(name, ".go") || inTestdata(name) {
			continue
		}
		fset := token.NewFileSet()
		syntax, err := parser.ParseFile(fset, name, content, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			failures = append(failures, err)
			continue
		}
		dir := path.Dir(name)
		p := t.packages[dir]
		if p == nil {
			p = &pkg{dir: dir}
			t.packages[dir] = p
		}
		test := strings.HasSuffix(name, "_test.go")
		if !test || p.name == "" {
			p.name = strings.TrimSuffix(syntax.Name.Name, "_test")
		}
		p.files = append(p.files, &source{
			path: name, test: test, generated: ast.IsGenerated(syntax),
			lines: lines(content), syntax: syntax, fset: fset,
		})
	}
	for _, p := range t.packages {
		slices.SortFunc(p.files, func(a, b *source) int { return strings.Compare(a.path, b.path) })
	}
	return t, errors.Join(failures...)
}

func lines(content []byte) int {
	n := bytes.Count(content, []byte("\n"))
	if len(content) > 0 && content[len(content)-1] != '\n' {
		n++
	}
	return n
}

func inTestdata(name string) bool {
	return slices.Contains(strings.Split(path.Dir(name), "/"), "testdata")
}

// checkout reads this repository once for all tests.
var checkout = sync.OnceValues(func() (*tree, error) {
	root, err := filepath.Abs("../..")
	if err != nil {
		return nil, err
	}
	names, err := listed(root)
	if err != nil {
		return nil, err
	}
	files := map[string][]byte{}
	for _, name := range names {
		content, err := os.ReadFile(filepath.Join(root, name))
		if errors.Is(err, fs.ErrNotExist) {
			continue // deleted, and not yet committed
		}
		if err != nil {
			return nil, err
		}
		if bytes.IndexByte(content, 0) < 0 {
			files[filepath.ToSlash(name)] = content
		}
	}
	return parse(files)
})

// listed returns what git knows or would add; without git, as in a source
// archive, every file but the build's output.
func listed(root string) ([]string, error) {
	// Root often tests a checkout that belongs to somebody else.
	git := exec.Command("git", "-c", "safe.directory=*", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	git.Dir = root
	if out, err := git.Output(); err == nil {
		return strings.FieldsFunc(string(out), func(r rune) bool { return r == 0 }), nil
	}
	var names []string
	err := filepath.WalkDir(root, func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, name)
		if err != nil {
			return err
		}
		switch {
		case entry.IsDir() && (rel == "bin" || rel == ".git"):
			return filepath.SkipDir
		case entry.Type().IsRegular():
			names = append(names, rel)
		}
		return nil
	})
	return names, err
}

func mustCheckout(t *testing.T) *tree {
	t.Helper()
	here, err := checkout()
	if err != nil {
		t.Fatal(err)
	}
	if len(here.packages) < 3 {
		t.Fatalf("only %d packages found: this does not look like the checkout", len(here.packages))
	}
	return here
}

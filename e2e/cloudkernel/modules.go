package cloudkernel

import (
	"bytes"
	"debug/elf"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Module is one to load, after those before it.
type Module struct {
	Name string
	ELF  []byte
}

// Modules returns what is wanted and all it depends on, in the order in which
// it can be loaded. What is built into the kernel is left out.
func (i Image) Modules(names []string) ([]Module, error) {
	files, err := i.moduleFiles()
	if err != nil {
		return nil, err
	}
	builtin, err := os.ReadFile(filepath.Join(i.modules, "modules.builtin"))
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(string(builtin)) {
		files[moduleName(strings.TrimSpace(line))] = ""
	}
	var out []Module
	seen := map[string]bool{}
	var visit func(name string) error
	visit = func(name string) error {
		path, ok := files[name]
		if !ok {
			return fmt.Errorf("%s has no module %s", i.modules, name)
		}
		if path == "" || seen[name] {
			return nil
		}
		seen[name] = true
		content, err := readModule(path)
		if err != nil {
			return err
		}
		needs, err := depends(content)
		if err != nil {
			return fmt.Errorf("module %s: %w", name, err)
		}
		for _, n := range needs {
			if err := visit(moduleName(n)); err != nil {
				return fmt.Errorf("%w, which %s needs", err, name)
			}
		}
		out = append(out, Module{name, content})
		return nil
	}
	for _, name := range names {
		if err := visit(name); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (i Image) moduleFiles() (map[string]string, error) {
	files := map[string]string{}
	err := filepath.WalkDir(i.modules, func(path string, _ fs.DirEntry, err error) error {
		if strings.Contains(filepath.Base(path), ".ko") {
			files[moduleName(path)] = path
		}
		return err
	})
	return files, err
}

// moduleName of kernel/net/nf-x.ko.xz is nf_x.
func moduleName(path string) string {
	name, _, _ := strings.Cut(filepath.Base(path), ".ko")
	return strings.ReplaceAll(name, "-", "_")
}

// depends reads the modules that a module's own file names.
func depends(content []byte) ([]string, error) {
	f, err := elf.NewFile(bytes.NewReader(content))
	if err != nil {
		return nil, err
	}
	section := f.Section(".modinfo")
	if section == nil {
		return nil, fmt.Errorf("no .modinfo")
	}
	info, err := section.Data()
	if err != nil {
		return nil, err
	}
	for field := range bytes.SplitSeq(info, []byte{0}) {
		if list, ok := bytes.CutPrefix(field, []byte("depends=")); ok && len(list) > 0 {
			return strings.Split(string(list), ","), nil
		}
	}
	return nil, nil
}

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// prune writes model/ec2.json: the operations that gen/actions.txt lists and
// the shapes they reach, less what gen/trim.txt leaves out.
func prune(apiDir, bigModel string) error {
	big, err := readModel(bigModel)
	if err != nil {
		return err
	}
	rules, err := lines(filepath.Join(apiDir, "gen", "trim.txt"))
	if err != nil {
		return err
	}
	if err := trim(big, rules); err != nil {
		return err
	}
	actions, err := lines(filepath.Join(apiDir, "gen", "actions.txt"))
	if err != nil {
		return err
	}
	small, err := reachable(big, actions)
	if err != nil {
		return err
	}
	b, err := json.MarshalIndent(small, "", " ")
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(apiDir, "model", "ec2.json"), append(b, '\n'), 0o644)
}

// lines returns the lines of a list file without blank ones and comments.
func lines(path string) ([]string, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var out []string
	for l := range strings.Lines(string(b)) {
		if l = strings.TrimSpace(l); l != "" && !strings.HasPrefix(l, "#") {
			out = append(out, l)
		}
	}
	return out, nil
}

// trim applies the rules of trim.txt to m. A rule that names something the
// model does not have is an error, so a new model version cannot make the
// file quietly useless.
func trim(m *model, rules []string) error {
	for _, rule := range rules {
		f := strings.Fields(rule)
		if len(f) < 2 {
			return fmt.Errorf("trim: %q: want a verb and a shape", rule)
		}
		verb, names := f[0], f[2:]
		s := m.Shapes[f[1]]
		if s == nil {
			return fmt.Errorf("trim: %q: no such shape", rule)
		}
		if verb == "split" {
			if err := split(m, s, names); err != nil {
				return fmt.Errorf("trim: %q: %w", rule, err)
			}
			continue
		}
		for _, n := range names {
			if !slices.ContainsFunc(s.Members, func(o member) bool { return o.Name == n }) {
				return fmt.Errorf("trim: %q: no member %s", rule, n)
			}
		}
		switch verb {
		case "keep":
			s.Members = slices.DeleteFunc(s.Members, func(o member) bool { return !slices.Contains(names, o.Name) })
		case "drop":
			s.Members = slices.DeleteFunc(s.Members, func(o member) bool { return slices.Contains(names, o.Name) })
		case "open":
			s.Enum = nil
		default:
			return fmt.Errorf("trim: %q: unknown verb", rule)
		}
	}
	return nil
}

// split gives the list that is member args[0] of s items of a shape of their
// own, args[1], so that it can differ from the shape it is a copy of.
func split(m *model, s *shape, args []string) error {
	if len(args) != 2 {
		return errors.New("want a member and a new shape")
	}
	i := slices.IndexFunc(s.Members, func(o member) bool { return o.Name == args[0] })
	if i < 0 {
		return fmt.Errorf("no member %s", args[0])
	}
	list, item := m.Shapes[s.Members[i].Shape], args[1]
	if list == nil || list.Type != "list" || m.Shapes[list.Member.Shape] == nil {
		return fmt.Errorf("%s is no list of shapes", args[0])
	}
	if m.Shapes[item] != nil || m.Shapes[item+"List"] != nil {
		return fmt.Errorf("there is a shape %s or %sList already", item, item)
	}
	items, of := *list, *list.Member
	of.Shape = item
	items.Member = &of
	m.Shapes[item], m.Shapes[item+"List"] = m.Shapes[list.Member.Shape], &items
	s.Members = slices.Clone(s.Members)
	s.Members[i].Shape = item + "List"
	return nil
}

// reachable returns the part of m that the actions need.
func reachable(m *model, actions []string) (*model, error) {
	out := &model{
		Metadata:   map[string]any{"apiVersion": m.Metadata["apiVersion"], "protocol": m.Metadata["protocol"], "xmlNamespace": m.Metadata["xmlNamespace"]},
		Operations: map[string]operation{},
		Shapes:     map[string]*shape{},
	}
	var todo []string
	for _, a := range actions {
		op, ok := m.Operations[a]
		if !ok {
			return nil, fmt.Errorf("the model has no action %s", a)
		}
		out.Operations[a] = op
		for _, r := range []*ref{op.Input, op.Output} {
			if r != nil {
				todo = append(todo, r.Shape)
			}
		}
	}
	for len(todo) > 0 {
		name := todo[0]
		todo = todo[1:]
		if out.Shapes[name] != nil {
			continue
		}
		s := m.Shapes[name]
		if s == nil {
			return nil, fmt.Errorf("the model has no shape %s", name)
		}
		out.Shapes[name] = s
		for _, r := range s.refs() {
			todo = append(todo, r.Shape)
		}
	}
	return out, nil
}

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"slices"
)

// model is the part of an AWS service model ("api-2.json") that names actions
// and the shapes they reach. Documentation, endpoints and waiters are not read.
type model struct {
	Metadata   map[string]any       `json:"metadata,omitempty"`
	Operations map[string]operation `json:"operations"`
	Shapes     map[string]*shape    `json:"shapes"`
	// Extensions are members that our model adds to EC2's shapes, by shape.
	// EC2's clients never send them.
	Extensions map[string]members `json:"extensions,omitempty"`
}

type operation struct {
	Name   string `json:"name"`
	Input  *ref   `json:"input,omitempty"`
	Output *ref   `json:"output,omitempty"`
}

// shape is one type of the model. Traits that neither a codec nor a validator
// uses are dropped by not being listed here.
type shape struct {
	Type     string      `json:"type"`
	Required []string    `json:"required,omitempty"`
	Members  members     `json:"members,omitempty"`
	Member   *ref        `json:"member,omitempty"`
	Enum     []string    `json:"enum,omitempty"`
	Min      json.Number `json:"min,omitempty"`
	Max      json.Number `json:"max,omitempty"`
	// Flattened lists have no wrapping element in XML.
	Flattened bool `json:"flattened,omitempty"`
}

// ref is the use of a shape by a member, a list or an operation.
type ref struct {
	Shape            string `json:"shape"`
	LocationName     string `json:"locationName,omitempty"`
	QueryName        string `json:"queryName,omitempty"`
	Flattened        bool   `json:"flattened,omitempty"`
	IdempotencyToken bool   `json:"idempotencyToken,omitempty"`
}

type member struct {
	Name string
	ref
	own bool // one of our extensions
}

// members keeps the order of the model, because it is the order in which the
// fields of a struct, and so the keys of a printed answer, appear.
type members []member

func (m *members) UnmarshalJSON(b []byte) error {
	d := json.NewDecoder(bytes.NewReader(b))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return fmt.Errorf("members: want an object, have %v (%v)", t, err)
	}
	for d.More() {
		t, err := d.Token()
		if err != nil {
			return err
		}
		one := member{Name: t.(string)}
		if err := d.Decode(&one.ref); err != nil {
			return fmt.Errorf("member %s: %w", one.Name, err)
		}
		*m = append(*m, one)
	}
	return nil
}

func (m members) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, one := range m {
		if i > 0 {
			b.WriteByte(',')
		}
		v, err := json.Marshal(one.ref)
		if err != nil {
			return nil, err
		}
		fmt.Fprintf(&b, "%q:%s", one.Name, v)
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// refs lists every use of another shape.
func (s *shape) refs() []ref {
	var out []ref
	for _, m := range s.Members {
		out = append(out, m.ref)
	}
	if s.Member != nil {
		out = append(out, *s.Member)
	}
	return out
}

func (s *shape) requires(name string) bool { return slices.Contains(s.Required, name) }

func readModel(path string) (*model, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	m := &model{}
	if err := json.Unmarshal(b, m); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return m, nil
}

// withShapesOf returns m with the shapes of base added, so that our own
// actions can answer with EC2's shapes. Neither may redefine the other's.
func (m *model) withShapesOf(base *model) (*model, error) {
	all := &model{Operations: m.Operations, Shapes: map[string]*shape{}}
	for name, s := range base.Shapes {
		all.Shapes[name] = s
	}
	for name, s := range m.Shapes {
		if _, ok := base.Shapes[name]; ok {
			return nil, fmt.Errorf("shape %s is defined in both models", name)
		}
		all.Shapes[name] = s
	}
	for name := range m.Operations {
		if _, ok := base.Operations[name]; ok {
			return nil, fmt.Errorf("action %s is defined in both models", name)
		}
	}
	return all, nil
}

// extend adds the members of ours to the shapes of base. One that EC2 has, or
// comes to have, is an error: its meaning is not ours to choose.
func (m *model) extend(base *model) error {
	for name, extra := range m.Extensions {
		s, ok := base.Shapes[name]
		if !ok {
			return fmt.Errorf("the extended shape %s is not in the model", name)
		}
		for _, one := range extra {
			if slices.ContainsFunc(s.Members, func(have member) bool { return have.Name == one.Name }) {
				return fmt.Errorf("shape %s has a member %s already", name, one.Name)
			}
			one.own = true
			s.Members = append(s.Members, one)
		}
	}
	return nil
}

package nft

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/google/nftables"

	"github.com/vpcfabric/vpc/dataplane/spec"
)

// table is a text that was understood, or the kernel's table in the same shape, so
// that one layout serves both and a comparison of texts is one of contents.
type table struct {
	name     string
	counters []string
	sets     []set
	chains   []chain
	// strange is what the kernel has and the text cannot say, a line each.
	strange []string
}

// set holds names of devices or addresses, sorted: the kernel lists them in no
// order.
type set struct {
	name, kind string
	elements   []string
}

// chain is one hook's rules; its words are nft's, because the numbers behind them
// mean different things to different families.
type chain struct {
	name, kind, hook, priority, policy string
	rules                              []rule
}

// kernel is the chain without its rules.
func (ch chain) kernel(t *nftables.Table) *nftables.Chain {
	policy := policies[ch.policy]
	return &nftables.Chain{
		Table: t, Name: ch.name, Type: nftables.ChainType(ch.kind),
		Hooknum: hooks[ch.hook], Priority: priorities[ch.priority], Policy: &policy,
	}
}

// Heads of blocks. What they leave out (flags, devices of a hook, numbers as
// priorities) nobody here needs, and what is refused cannot be compared wrongly.
var (
	tableLine   = regexp.MustCompile(`^table ip (\S+) \{$`)
	counterLine = regexp.MustCompile(`^counter (\S+) \{$`)
	setLine     = regexp.MustCompile(`^set (\S+) \{$`)
	chainLine   = regexp.MustCompile(`^chain (\S+) \{$`)
	hookLine    = regexp.MustCompile(`^type (filter|nat|route) hook (\w+) priority (-?\w+); policy (\w+);$`)
)

// parser goes through a text line by line; indentation and empty lines mean
// nothing.
type parser struct {
	lines []string
	names
}

// names are what a rule may refer to: sets with their types, and counters.
type names struct {
	sets     map[string]string
	counters map[string]bool
}

func (p *parser) next() (string, error) {
	for len(p.lines) > 0 {
		line := strings.TrimSpace(p.lines[0])
		p.lines = p.lines[1:]
		if line != "" {
			return line, nil
		}
	}
	return "", errors.New("the text ends before its last brace")
}

// parse understands a text. One that this package would not write the same way
// is refused: else it would be drift for ever.
func parse(text spec.Firewall) (table, error) {
	p := &parser{lines: strings.Split(string(text), "\n"), names: names{map[string]string{}, map[string]bool{}}}
	t, err := p.table()
	if err == nil && t.text() != text {
		err = fmt.Errorf("it is not laid out as nft does it:\n%s", t.text())
	}
	if err != nil {
		return t, fmt.Errorf("firewall: %w", err)
	}
	return t, nil
}

func (p *parser) table() (t table, err error) {
	line, err := p.next()
	if err != nil {
		return t, err
	}
	m := tableLine.FindStringSubmatch(line)
	if m == nil {
		return t, fmt.Errorf("%q is not the head of a table", line)
	}
	t.name = m[1]
	for {
		if line, err = p.next(); err != nil || line == "}" {
			return t, err
		}
		if m := counterLine.FindStringSubmatch(line); m != nil {
			if err := p.counter(m[1]); err != nil {
				return t, fmt.Errorf("counter %s: %w", m[1], err)
			}
			t.counters = append(t.counters, m[1])
		} else if m := setLine.FindStringSubmatch(line); m != nil {
			s, err := p.set(m[1])
			if err != nil {
				return t, fmt.Errorf("set %s: %w", m[1], err)
			}
			t.sets = append(t.sets, s)
		} else if m := chainLine.FindStringSubmatch(line); m != nil {
			ch, err := p.chain(m[1])
			if err != nil {
				return t, fmt.Errorf("chain %s: %w", m[1], err)
			}
			t.chains = append(t.chains, ch)
		} else {
			return t, fmt.Errorf("%q is neither a counter nor a set nor a chain", line)
		}
	}
}

// set reads up to its brace. nft breaks the list of elements into lines, so the
// lines are joined before they are taken apart.
func (p *parser) set(name string) (set, error) {
	s := set{name: name}
	head, err := p.next()
	var known bool
	if s.kind, known = strings.CutPrefix(head, "type "); err != nil || !known || setTypes[s.kind].read == nil {
		return s, errors.Join(fmt.Errorf("%q: only names of devices and addresses are known here", head), err)
	}
	var all strings.Builder
	for {
		line, err := p.next()
		if err != nil {
			return s, err
		}
		if line == "}" {
			break
		}
		all.WriteString(line)
	}
	list, opens := strings.CutPrefix(all.String(), "elements = {")
	list, closes := strings.CutSuffix(list, "}")
	if !opens || !closes {
		return s, fmt.Errorf("%q are no elements", all.String())
	}
	for word := range strings.SplitSeq(list, ",") {
		e, err := setTypes[s.kind].read(strings.TrimSpace(word))
		if err != nil {
			return s, fmt.Errorf("element %s: %w", word, err)
		}
		s.elements = append(s.elements, e)
	}
	slices.Sort(s.elements)
	p.sets[name] = s.kind
	return s, nil
}

// chain reads up to its brace. A set must stand before the rule that names it.
func (p *parser) chain(name string) (chain, error) {
	ch := chain{name: name}
	line, err := p.next()
	if err != nil {
		return ch, err
	}
	m := hookLine.FindStringSubmatch(line)
	if m == nil || hooks[m[2]] == nil || priorities[m[3]] == nil || !known(policies, m[4]) {
		return ch, fmt.Errorf("%q does not say type, hook, priority and policy", line)
	}
	ch.kind, ch.hook, ch.priority, ch.policy = m[1], m[2], m[3], m[4]
	for {
		if line, err = p.next(); err != nil || line == "}" {
			return ch, err
		}
		r, err := compile(line, p.names)
		if err != nil {
			return ch, err
		}
		ch.rules = append(ch.rules, r)
	}
}

func known[V any](m map[string]V, k string) bool { _, ok := m[k]; return ok }

// text lays a table out as nft does.
func (t table) text() spec.Firewall {
	var blocks []string
	for _, c := range t.counters {
		blocks = append(blocks, fmt.Sprintf("\tcounter %s {\n\t\tpackets 0 bytes 0\n\t}\n", c))
	}
	for _, s := range t.sets {
		var shown []string
		for _, e := range s.elements {
			shown = append(shown, setTypes[s.kind].show(e))
		}
		blocks = append(blocks, fmt.Sprintf("\tset %s {\n\t\ttype %s\n\t\telements = { %s }\n\t}\n",
			s.name, s.kind, strings.Join(shown, ",\n\t\t\t     ")))
	}
	for _, ch := range t.chains {
		var b strings.Builder
		fmt.Fprintf(&b, "\tchain %s {\n\t\ttype %s hook %s priority %s; policy %s;\n", ch.name, ch.kind, ch.hook, ch.priority, ch.policy)
		for _, r := range ch.rules {
			fmt.Fprintf(&b, "\t\t%s\n", r.line)
		}
		b.WriteString("\t}\n")
		blocks = append(blocks, b.String())
	}
	for _, s := range t.strange {
		blocks = append(blocks, fmt.Sprintf("\t# %s\n", s))
	}
	return spec.Firewall(fmt.Sprintf("table ip %s {\n%s}\n", t.name, strings.Join(blocks, "\n")))
}

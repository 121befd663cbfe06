package nft

import (
	"bytes"
	"errors"
	"fmt"
	"math/bits"
	"slices"
	"strings"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"

	"github.com/vpcfabric/vpc/dataplane/spec"
)

// find looks for the table of the host; ErrForeign where it is not ours.
func (d *Driver) find(c *nftables.Conn) (*nftables.Table, bool, error) {
	t, err := c.ListTableOfFamily(d.table, nftables.TableFamilyIPv4)
	if errors.Is(err, unix.ENOENT) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, fmt.Errorf("%w: %w", errQuestion, err)
	}
	if t.Use == 0 || d.whole {
		return t, true, nil
	}
	_, err = c.GetSetByName(t, mark)
	if errors.Is(err, unix.ENOENT) {
		return nil, false, fmt.Errorf("%s: %w", d.table, ErrForeign)
	}
	return t, err == nil, err
}

// read renders the table as it is; it equals wanted exactly where nothing
// differs. What nobody could want is a line that no text contains.
func (d *Driver) read(c *nftables.Conn, wanted spec.Firewall) (spec.Firewall, bool, error) {
	kt, there, err := d.find(c)
	if err != nil || !there {
		return "", false, err
	}
	lines := map[string]string{}
	if want, err := parse(wanted); err == nil {
		for _, ch := range want.chains {
			for _, r := range ch.rules {
				lines[fingerprint(r.exprs, r.userData)] = r.line
			}
		}
	}
	t := table{name: kt.Name}
	if kt.Flags != 0 {
		t.strange = append(t.strange, fmt.Sprintf("flags %#x", kt.Flags)) // a dormant table does nothing
	}
	// Something unreadable in our table is somebody else's doing: it is drift, and
	// the next replacement removes it.
	if err := t.readCounters(c, kt); err != nil {
		t.strange = append(t.strange, "counters: "+err.Error())
	}
	if err := t.readSets(c, kt); err != nil {
		t.strange = append(t.strange, "sets: "+err.Error())
	}
	if err := t.readChains(c, kt, lines); err != nil {
		t.strange = append(t.strange, "chains: "+err.Error())
	}
	// The kernel counts what is in a table, so that what cannot be listed here
	// (other objects, flow tables) is seen as well. It does so in network order.
	if n := uint32(len(t.counters) + len(t.sets) + len(t.chains)); kt.Use != n && bits.ReverseBytes32(kt.Use) != n {
		t.strange = append(t.strange, "objects that are neither counters nor sets nor chains")
	}
	return t.text(), true, nil
}

// readSets lists sets with their elements. A set that holds anything else than
// names of devices or addresses gets a name that no text can have.
func (t *table) readSets(c *nftables.Conn, kt *nftables.Table) error {
	list, err := c.GetSets(kt)
	if err != nil {
		return err
	}
	for _, ks := range list {
		s := set{name: ks.Name, kind: setType(ks)}
		if plain := s.kind != "" && !ks.IsMap && !ks.Interval && !ks.HasTimeout &&
			!ks.Constant && !ks.Anonymous && !ks.Dynamic && !ks.Concatenation; !plain {
			s.name, s.kind = s.name+" of another kind", "ifname"
		}
		elements, err := c.GetSetElements(ks)
		if err != nil {
			return err
		}
		for _, e := range elements {
			s.elements = append(s.elements, setTypes[s.kind].value(e.Key))
		}
		slices.Sort(s.elements)
		t.sets = append(t.sets, s)
	}
	return nil
}

// readChains lists chains with their rules; the kernel has no filter for the
// table of a chain, so those of others are passed over. lines are the rules that
// are wanted, by fingerprint: a rule is told from others by equality, never by an
// attempt to put its meaning into words.
func (t *table) readChains(c *nftables.Conn, kt *nftables.Table, lines map[string]string) error {
	list, err := c.ListChainsOfTableFamily(nftables.TableFamilyIPv4)
	if err != nil {
		return err
	}
	for _, kc := range list {
		if kc.Table.Name != kt.Name {
			continue
		}
		ch := chain{name: kc.Name, kind: string(kc.Type), policy: "none", hook: "none", priority: "none"}
		if kc.Hooknum != nil && kc.Priority != nil && kc.Policy != nil {
			ch.hook, ch.priority, ch.policy = name(hooks, *kc.Hooknum), name(priorities, *kc.Priority), policyName(*kc.Policy)
		}
		rules, err := c.GetRules(kt, kc)
		if err != nil {
			return err
		}
		for _, kr := range rules {
			line, ok := lines[fingerprint(kr.Exprs, kr.UserData)]
			if !ok {
				line = "# " + strange(kr.Exprs)
			}
			ch.rules = append(ch.rules, rule{line: line})
		}
		t.chains = append(t.chains, ch)
	}
	return nil
}

// fingerprint is a rule's content. Its comment counts: an expression that this
// program does not know is left out of a listing, and whoever puts one into a
// rule puts no such comment there.
func fingerprint(exprs []expr.Any, userData []byte) string {
	var b bytes.Buffer
	for _, e := range exprs {
		raw, err := expr.Marshal(unix.NFPROTO_IPV4, e)
		if err != nil {
			return "unknown: " + strange(exprs)
		}
		b.Write(raw)
		if m, ok := e.(*expr.Masq); ok {
			fmt.Fprintf(&b, "%+v", *m) // the library leaves flags out
		}
	}
	b.Write(userData)
	return b.String()
}

// strange shows expressions for which there is no line.
func strange(exprs []expr.Any) string {
	words := []string{"another rule:"}
	for _, e := range exprs {
		words = append(words, strings.TrimPrefix(fmt.Sprintf("%T%+v", e, e), "*expr."))
	}
	return strings.ReplaceAll(strings.Join(words, " "), "\n", " ")
}

// name finds the word for a number, or shows the number.
func name[N ~int32 | ~uint32](m map[string]*N, v N) string {
	for word, n := range m {
		if *n == v {
			return word
		}
	}
	return fmt.Sprint(v)
}

func policyName(v nftables.ChainPolicy) string {
	for word, n := range policies {
		if n == v {
			return word
		}
	}
	return fmt.Sprint(v)
}

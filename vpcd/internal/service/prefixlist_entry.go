package service

import (
	"maps"
	"net/netip"
	"slices"

	"github.com/vpcfabric/vpc/vpcd/api"
)

// listEdit is what a request does to the entries of a list.
type listEdit struct {
	add    []api.PrefixListEntry
	remove []removal
}

// removal is a CIDR to remove, and where the request says so.
type removal struct {
	cidr string
	at   string
}

func (e listEdit) given() bool { return len(e.add)+len(e.remove) > 0 }

// addedEntries brings the entries of a request to their normal form: canonical
// CIDRs, each once, in order.
func addedEntries(in []api.AddPrefixListEntry, list string) ([]api.PrefixListEntry, error) {
	if err := checkChanges(len(in), list); err != nil {
		return nil, err
	}
	byCIDR := map[string]api.PrefixListEntry{}
	for i, e := range in {
		at := place("").item(list, i)
		cidr, err := parseRuleSource(e.Cidr, at.field("Cidr"))
		if err != nil {
			return nil, err
		}
		if _, twice := byCIDR[cidr]; twice {
			return nil, api.Errorf("InvalidParameterValue", at.field("Cidr"), "the request contains the CIDR %s twice: leave one out", cidr)
		}
		if reason := badText(e.Description, maxText); reason != "" {
			return nil, api.Errorf("InvalidParameterValue", at.field("Description"), "the description %s %s", quote(e.Description), reason)
		}
		byCIDR[cidr] = api.PrefixListEntry{Cidr: cidr, Description: e.Description}
	}
	return inOrder(byCIDR), nil
}

// removedEntries refuses what is also added: EC2 has no order between the two.
func removedEntries(in []api.RemovePrefixListEntry, add []api.PrefixListEntry) ([]removal, error) {
	const list = "RemoveEntries"
	if err := checkChanges(len(in), list); err != nil {
		return nil, err
	}
	added := byCIDR(add)
	var out []removal
	for i, e := range in {
		at := place("").item(list, i).field("Cidr")
		cidr, err := parseRuleSource(e.Cidr, at)
		if err != nil {
			return nil, err
		}
		if _, both := added[cidr]; both {
			return nil, api.Errorf("InvalidParameterValue", at, "the request cannot contain the CIDR %s in both AddPrefixListEntries and RemovePrefixListEntries: make two requests", cidr)
		}
		out = append(out, removal{cidr, at})
	}
	return out, nil
}

func checkChanges(n int, list string) error {
	if n > maxListChanges {
		return api.Errorf("InvalidParameterValue", list, "the number of entries per request cannot exceed %d, and these are %d: make several requests", maxListChanges, n)
	}
	return nil
}

// apply makes the new entries of a list that has these.
func (e listEdit) apply(entries []api.PrefixListEntry) ([]api.PrefixListEntry, error) {
	out := byCIDR(entries)
	for _, r := range e.remove {
		if _, ok := out[r.cidr]; !ok {
			return nil, api.Errorf("InvalidParameterValue", r.at, "the prefix list has no entry %s; GetManagedPrefixListEntries lists those it has", r.cidr)
		}
		delete(out, r.cidr)
	}
	for _, a := range e.add {
		if _, ok := out[a.Cidr]; ok {
			return nil, api.Errorf("InvalidParameterValue", "AddEntries", "the prefix list has the entry %s already: remove it first to change its description", a.Cidr)
		}
		out[a.Cidr] = a
	}
	return inOrder(out), nil
}

func byCIDR(entries []api.PrefixListEntry) map[string]api.PrefixListEntry {
	out := make(map[string]api.PrefixListEntry, len(entries))
	for _, e := range entries {
		out[e.Cidr] = e
	}
	return out
}

// inOrder sorts entries by address, then the larger prefix first.
func inOrder(entries map[string]api.PrefixListEntry) []api.PrefixListEntry {
	return slices.SortedFunc(maps.Values(entries), func(a, b api.PrefixListEntry) int {
		x, y := netip.MustParsePrefix(a.Cidr), netip.MustParsePrefix(b.Cidr)
		if c := x.Addr().Compare(y.Addr()); c != 0 {
			return c
		}
		return x.Bits() - y.Bits()
	})
}

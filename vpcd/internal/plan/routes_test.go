package plan

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/vpcfabric/vpc/dataplane/spec"
	"github.com/vpcfabric/vpc/vpcd/api"
)

// targets are the routes of an interface's table, sorted.
func (w *world) targets(t *testing.T, name string) string {
	t.Helper()
	p := w.build()
	var out []string
	table := w.port(t, p, name).Table
	for key, r := range allRoutes(p.Spec) {
		if key.Table == table {
			out = append(out, fmt.Sprint(key.Dest, map[spec.Target]string{spec.Local: " local", spec.Blackhole: " blackhole"}[r.Target]))
		}
	}
	slices.Sort(out)
	return strings.Join(out, ", ")
}

// TestTableOfASubnet: its own table, else the main one, whichever that is now.
func TestTableOfASubnet(t *testing.T) {
	w := web()
	own := w.table("own", "a", "10.0.0.0/16")
	main := w.Tables["rtb-a-main"]
	of := func() spec.RouteTable { return w.port(t, w.build(), "web").Table }
	if of() != spec.RouteTable(main.Index) {
		t.Error("a subnet without a table of its own has not the main one")
	}
	own.Table.Associations = []api.RouteTableAssociation{{SubnetId: "subnet-a1"}}
	if of() != spec.RouteTable(own.Index) {
		t.Error("a subnet has not the table that it was given")
	}
	own.Table.Associations = []api.RouteTableAssociation{{Main: api.Ptr(true)}}
	main.Table.Associations = nil
	if of() != spec.RouteTable(own.Index) {
		t.Error("another main table does not count")
	}
	main.Table.Associations = []api.RouteTableAssociation{{SubnetId: "subnet-a1"}}
	if of() != spec.RouteTable(main.Index) {
		t.Error("a subnet's own table does not win over the main one")
	}
}

// TestRouteFollowsItsList: entries come and go, and a CIDR wins over an entry.
func TestRouteFollowsItsList(t *testing.T) {
	w := web()
	main := &w.Tables["rtb-a-main"].Table
	main.Routes = append(main.Routes, api.Route{DestinationPrefixListId: "pl-office", GatewayId: "igw-1"})
	const local = "10.0.0.0/16 local"
	for _, step := range []struct {
		entries []string
		want    string
	}{
		{nil, local},
		{[]string{"192.0.2.0/24"}, local + ", 192.0.2.0/24 blackhole"},
		{[]string{"192.0.2.0/24", "198.51.100.0/24"}, local + ", 192.0.2.0/24 blackhole, 198.51.100.0/24 blackhole"},
		{[]string{"10.0.0.0/16", "10.0.1.0/24", "10.0.1.9/32", "10.0.0.0/15"}, "10.0.0.0/15 blackhole, " + local},
	} {
		w.list("office", step.entries...)
		if have := w.targets(t, "web"); have != step.want {
			t.Errorf("entries %v: %s, want %s", step.entries, have, step.want)
		}
	}
	main.Routes = append(main.Routes, api.Route{DestinationCidrBlock: "192.0.2.0/24", GatewayId: "local"})
	w.list("office", "192.0.2.0/24")
	if have := w.targets(t, "web"); have != local+", 192.0.2.0/24 local" {
		t.Errorf("a list wins over a CIDR: %s", have)
	}
	w.Lists["pl-office"].Entries[0].Cidr = "192.0.2.1/24"
	if p := w.build(); len(p.Problems) != 1 || !strings.Contains(p.Problems[0], "prefix list pl-office") {
		t.Errorf("a broken entry: %q", p.Problems)
	}
}

// TestReserved: no gateway gets what goes to AWS's own addresses.
func TestReserved(t *testing.T) {
	to := func(target spec.Target, cidrs ...string) map[netip.Prefix]spec.Route {
		out := map[netip.Prefix]spec.Route{}
		for _, c := range cidrs {
			out[netip.MustParsePrefix(c)] = spec.Route{Target: target}
		}
		return out
	}
	hole := to(spec.Blackhole, "169.254.168.0/22")
	with := func(a, b map[netip.Prefix]spec.Route) map[netip.Prefix]spec.Route {
		a = maps.Clone(a)
		maps.Copy(a, b)
		return a
	}
	far := to(spec.InternetGateway, "192.0.2.0/24", "169.254.0.0/21")
	for i, tt := range []struct{ have, want map[netip.Prefix]spec.Route }{
		{far, far},
		{to(spec.InternetGateway, "0.0.0.0/0"), with(to(spec.InternetGateway, "0.0.0.0/0"), hole)},
		{to(spec.InternetGateway, "169.254.0.0/16"), with(to(spec.InternetGateway, "169.254.0.0/16"), hole)},
		{to(spec.InternetGateway, "169.254.168.0/22"), to(spec.Local)},
		{to(spec.InternetGateway, "169.254.169.254/32", "192.0.2.0/24"), to(spec.InternetGateway, "192.0.2.0/24")},
		{to(spec.Blackhole, "0.0.0.0/0"), to(spec.Blackhole, "0.0.0.0/0")},
	} {
		have := maps.Clone(tt.have)
		if reserve(have); !maps.Equal(have, tt.want) {
			t.Errorf("%d: %v became %v, want %v", i, tt.have, have, tt.want)
		}
	}
}

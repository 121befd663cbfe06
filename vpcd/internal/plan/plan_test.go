package plan

import (
	"flag"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vpcfabric/vpc/dataplane/spec"
	"github.com/vpcfabric/vpc/vpcd/api"
	"github.com/vpcfabric/vpc/vpcd/internal/record"
)

var update = flag.Bool("update", false, "write testdata instead of comparing with it")

// golden are whole worlds; what the planner makes of each is in testdata.
var golden = map[string]func() *world{
	"overlapping_vpcs": func() *world {
		w := web()
		w.vpc("b", "10.0.0.0/16")
		w.subnet("b1", "b", "10.0.1.0/24")
		w.eni("web-of-b", "b1", "10.0.1.10", "b-default")
		return w
	},
	"groups_are_a_union": func() *world {
		w := web()
		w.group("http", "a", "in tcp:80-80 0.0.0.0/0", "in tcp:443-443 0.0.0.0/0")
		w.group("ping", "a", "in icmp:8--1 10.0.0.0/8", "out udp:53-53 10.0.0.2/32", "in 50 192.0.2.0/24")
		w.eni("both", "a1", "10.0.1.11", "http", "ping")
		return w
	},
	"prefix_lists": func() *world {
		w := web()
		w.list("office", "192.0.2.0/25", "192.0.2.128/25", "203.0.113.0/24")
		w.list("nobody")
		w.group("listed", "a", "in tcp:443-443 pl-office", "in udp:53-53 pl-nobody", "in icmp:8--1 pl-deleted", "out -1 pl-office")
		w.eni("both", "a1", "10.0.1.11", "listed")
		return w
	},
	"addresses_and_flags": func() *world {
		w := web()
		n := w.eni("appliance", "a1", "10.0.1.20,10.0.1.22,10.0.1.21", "a-default")
		n.Interface.SourceDestCheck = api.Ptr(false)
		w.eni("quiet", "a1", "10.0.1.30", "a-default").Attached.NoDefaultRoute = true
		vm := w.eni("vm", "a1", "10.0.1.40", "a-default")
		vm.Attached.Target = "tap:t0"
		w.facts.Places["tap:t0"] = Place{Netns: spec.Netns{Path: "/proc/self/ns/net", Inode: 9}, Device: "t0"}
		return w
	},
	"who_is_here": func() *world {
		w := web()
		w.eni("elsewhere", "a1", "10.0.1.11", "a-default").Attached.Host = "h2"
		w.eni("free", "a1", "10.0.1.12", "a-default").Attached = nil
		gone := w.eni("gone", "a1", "10.0.1.13", "a-default")
		delete(w.facts.Places, gone.Attached.Target)
		w.Tombstones["eni-deleted"] = &record.Tombstone{Index: 77}
		w.Tombstones["vpc-deleted"] = &record.Tombstone{Index: 78}
		return w
	},
	"public_addresses": func() *world {
		w := web()
		w.gateway("a", "a")
		w.facts.PublicPools = []netip.Prefix{netip.MustParsePrefix("198.18.0.0/24"), netip.MustParsePrefix("203.0.113.64/28")}
		w.facts.PoolModes = map[netip.Prefix]spec.Mode{netip.MustParsePrefix("203.0.113.64/28"): spec.PoolRouted}
		w.facts.PublicAllow = []netip.Prefix{netip.MustParsePrefix("192.168.0.0/16")}
		for _, dest := range []string{"0.0.0.0/0", "198.51.100.0/24", "169.254.169.0/24"} {
			w.Tables["rtb-a-main"].Table.Routes = append(w.Tables["rtb-a-main"].Table.Routes, api.Route{DestinationCidrBlock: dest, GatewayId: "igw-a"})
		}
		w.vpc("empty", "10.0.0.0/16")
		w.gateway("empty", "empty")
		public(w.Interfaces["eni-web"], 0, "198.18.0.2")
		public(public(w.eni("two", "a1", "10.0.1.20,10.0.1.21", "a-default"), 0, "198.18.0.3"), 1, "198.18.0.4")
		public(w.eni("elsewhere", "a1", "10.0.1.30", "a-default"), 0, "198.18.0.5").Attached.Host = "h2"
		public(w.eni("free", "a1", "10.0.1.31", "a-default"), 0, "198.18.0.6").Attached = nil
		public(w.eni("unlucky", "a1", "10.0.1.32", "a-default"), 0, "198.18.0.4")
		public(w.eni("wrong", "a1", "10.0.1.33", "a-default"), 0, "2001:db8::1")
		w.vpc("closed", "10.0.0.0/16")
		w.subnet("c1", "closed", "10.0.1.0/24")
		public(w.eni("no-gateway", "c1", "10.0.1.10", "closed-default"), 0, "198.18.0.7")
		return w
	},
	"peerings":     peerings,
	"nat_gateways": natWorld,
	"network_acls": func() *world {
		w := web()
		w.subnet("a2", "a", "10.0.2.0/24")
		own := w.acl("a", "in 200 allow 6:443-443 10.0.0.0/16", "in 90 deny 1:8--1 10.0.1.0/24", "in 100 allow 1:-1--1 0.0.0.0/0",
			"out 5 allow 47 10.0.0.0/8", "out 6 deny -1 192.0.2.0/24")
		own.Acl.Associations = []api.NetworkAclAssociation{{SubnetId: "subnet-a2"}}
		own.Acl.Entries = append(own.Acl.Entries, api.NetworkAclEntry{RuleNumber: api.Ptr(int32(101)), RuleAction: "allow", Protocol: "-1", Ipv6CidrBlock: "::/0"})
		w.eni("second", "a2", "10.0.2.10", "a-default")
		return w
	},
	"route_tables": func() *world {
		w := web()
		w.subnet("a2", "a", "10.0.2.0/24")
		own := w.table("own", "a", "10.0.0.0/16")
		own.Table.Associations = []api.RouteTableAssociation{{SubnetId: "subnet-a2"}}
		own.Table.Routes = append(own.Table.Routes, api.Route{DestinationCidrBlock: "0.0.0.0/0", GatewayId: "igw-1"})
		w.table("unused", "a", "10.0.0.0/16")
		w.eni("second", "a2", "10.0.2.10", "a-default")
		return w
	},
	"prefix_list_routes": func() *world {
		w := web()
		w.list("office", "10.0.7.0/24", "192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24")
		w.list("branch", "203.0.113.0/24", "203.0.113.7/32")
		w.list("nobody")
		w.list("foreign", "198.18.0.0/15")
		w.Lists["pl-foreign"].List.OwnerId = "000000000002"
		main := &w.Tables["rtb-a-main"].Table
		for _, list := range []string{"office", "branch", "nobody", "foreign", "deleted"} {
			main.Routes = append(main.Routes, api.Route{DestinationPrefixListId: "pl-" + list, GatewayId: "igw-1"})
		}
		main.Routes = append(main.Routes, api.Route{DestinationCidrBlock: "192.0.2.0/24", GatewayId: "local"})
		w.eni("second", "a1", "10.0.1.11", "a-default")
		return w
	},
	"tracking": func() *world {
		w := web()
		all := w.eni("patient", "a1", "10.0.1.20", "a-default")
		all.Interface.ConnectionTrackingConfiguration = &api.ConnectionTrackingConfiguration{
			TcpEstablishedTimeout: api.Ptr(int32(432000)), UdpTimeout: api.Ptr(int32(30)), UdpStreamTimeout: api.Ptr(int32(180))}
		one := w.eni("some", "a1", "10.0.1.21", "a-default")
		one.Interface.ConnectionTrackingConfiguration = &api.ConnectionTrackingConfiguration{UdpStreamTimeout: api.Ptr(int32(60))}
		w.eni("none", "a1", "10.0.1.22", "a-default").Interface.ConnectionTrackingConfiguration = &api.ConnectionTrackingConfiguration{}
		lives := w.Groups["sg-a-default"].Rules[0].SecurityGroupRuleId
		w.Revocations["vpc-a/sg-a-default/1"] = &record.Revocation{Rules: []string{"sgr-aaaaaaaa000000000", "sgr-bbbbbbbb000000000"}, Cut: true}
		w.Revocations["vpc-a/sg-a-default/2"] = &record.Revocation{Rules: []string{"sgr-cccccccc000000000"}}
		w.Revocations["vpc-a/sg-a-default/3"] = &record.Revocation{Rules: []string{lives[:12] + "fffffffff", "sgr-00000000000000001"}, Cut: true}
		w.Tombstones["sg-deleted"] = &record.Tombstone{Index: 79, Cut: []string{"sgr-dddddddd000000000"}}
		return w
	},
	"contradictions": contradictions,
}

func contradictions() *world {
	w := web()
	w.eni("no-vpc", "a1", "10.0.1.51", "a-default").Interface.VpcId = "vpc-lost"
	w.eni("no-subnet", "a1", "10.0.1.52", "a-default").Interface.SubnetId = "subnet-lost"
	w.eni("no-group", "a1", "10.0.1.53", "lost")
	w.eni("outside", "a1", "10.0.9.9", "a-default")
	w.eni("extra-outside", "a1", "10.0.1.54,10.0.9.9", "a-default")
	w.eni("router", "a1", "10.0.1.1", "a-default")
	w.eni("zz-web-again", "a1", "10.0.1.60,10.0.1.10", "a-default")
	w.subnet("bad", "a", "10.0.3.0/33")
	w.eni("bad-cidr", "bad", "10.0.3.4", "a-default")
	w.subnet("loose", "a", "10.0.4.7/24")
	w.eni("loose-cidr", "loose", "10.0.4.8", "a-default")
	w.group("ipx", "a", "in ipx 0.0.0.0/0")
	w.eni("protocol", "a1", "10.0.1.55", "ipx")
	w.vpc("b", "10.0.0.0/16")
	w.eni("foreign-group", "a1", "10.0.1.56", "b-default")
	w.subnet("b1", "b", "10.0.1.0/24")
	w.eni("foreign-subnet", "b1", "10.0.1.57", "a-default").Interface.VpcId = "vpc-a"
	w.eni("twin-1", "a1", "10.0.1.58", "a-default").Index = 900
	w.eni("twin-2", "a1", "10.0.1.59", "a-default").Index = 900
	return w
}

func TestGolden(t *testing.T) {
	for name, make := range golden {
		t.Run(name, func(t *testing.T) {
			have, file := render(make().build()), filepath.Join("testdata", name+".txt")
			if *update {
				if err := os.WriteFile(file, []byte(have), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if have != string(want) {
				t.Errorf("plan differs from %s; review, then -update\n--- have\n%s--- want\n%s", file, have, want)
			}
		})
	}
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) != len(golden) {
		t.Errorf("%d files in testdata for %d cases (%v)", len(files), len(golden), err)
	}
}

// withACL puts a workload into a subnet with an ACL of these entries.
func withACL(entries ...string) func(*world) {
	return func(w *world) {
		w.subnet("a2", "a", "10.0.2.0/24")
		w.acl("a", entries...).Acl.Associations = []api.NetworkAclAssociation{{SubnetId: "subnet-a2"}}
		w.eni("x", "a2", "10.0.2.9", "a-default")
	}
}

// TestQuarantine: each broken record costs its own interface and no other, and
// leaves nothing of it behind.
func TestQuarantine(t *testing.T) {
	want := render(web().build())
	cut := func(s string) string { return s[:strings.Index(s, "known")] }
	rt := func(w *world) *record.RouteTable { return w.table("x", "a", "10.0.0.0/16") }
	tests := map[string]struct {
		damage  func(w *world)
		problem string
	}{
		"primary is no address": {func(w *world) { w.eni("x", "a1", "ten", "a-default") }, `address "ten" is not in 10.0.1.0/24`},
		"mapped address":        {func(w *world) { w.eni("x", "a1", "::ffff:10.0.1.9", "a-default") }, "is not in"},
		"half a port range": {func(w *world) {
			w.group("g", "a", "in tcp:1-2 0.0.0.0/0")
			w.Groups["sg-g"].Rules[0].ToPort = nil
			w.eni("x", "a1", "10.0.1.9", "g")
		}, "only one end"},
		"ports backwards":    {func(w *world) { w.group("g", "a", "in tcp:9-1 0.0.0.0/0"); w.eni("x", "a1", "10.0.1.9", "g") }, "ports 9 to 1"},
		"port too high":      {func(w *world) { w.group("g", "a", "in udp:1-65536 0.0.0.0/0"); w.eni("x", "a1", "10.0.1.9", "g") }, "ports 1 to 65536"},
		"ICMP type too high": {func(w *world) { w.group("g", "a", "in icmp:256-0 0.0.0.0/0"); w.eni("x", "a1", "10.0.1.9", "g") }, "ICMP type 256"},
		"protocol too high":  {func(w *world) { w.group("g", "a", "in 256 0.0.0.0/0"); w.eni("x", "a1", "10.0.1.9", "g") }, `protocol "256"`},
		"rule for IPv6":      {func(w *world) { w.group("g", "a", "in -1 ::/0"); w.eni("x", "a1", "10.0.1.9", "g") }, "canonical IPv4"},
		"rule with host bits": {func(w *world) {
			w.group("g", "a", "in -1 10.0.0.1/8")
			w.eni("x", "a1", "10.0.1.9", "g")
		}, "canonical IPv4"},
		"rule without source": {func(w *world) {
			w.group("g", "a", "in -1 0.0.0.0/0")
			w.Groups["sg-g"].Rules[0].CidrIpv4 = ""
			w.eni("x", "a1", "10.0.1.9", "g")
		}, "names no source"},
		"broken prefix list": {func(w *world) {
			w.list("bad", "192.0.2.0/24", "192.0.2.1/24")
			w.group("g", "a", "in -1 pl-bad")
			w.eni("x", "a1", "10.0.1.9", "g")
		}, "prefix list pl-bad"},
		"no main table": {func(w *world) {
			w.vpc("c", "10.0.0.0/16")
			delete(w.Tables, "rtb-c-main")
			w.subnet("c1", "c", "10.0.1.0/24")
			w.eni("x", "c1", "10.0.1.9", "c-default")
		}, "VPC vpc-c has no main route table"},
		"no default ACL": {func(w *world) {
			w.vpc("c", "10.0.0.0/16")
			maps.DeleteFunc(w.Acls, func(_ string, a *record.NetworkAcl) bool { return a.Acl.VpcId == "vpc-c" })
			w.subnet("c1", "c", "10.0.1.0/24")
			w.eni("x", "c1", "10.0.1.9", "c-default")
		}, "VPC vpc-c has no default network ACL"},
		"ACL rule without ports": {withACL("in 1 allow 6 0.0.0.0/0"), "rule 1: its range of ports"},
		"ACL rule of type only":  {withACL("in 2 allow 1 0.0.0.0/0"), "rule 2: its range of ports, or type"},
		"ACL rule number 0":      {withACL("in 0 allow -1 0.0.0.0/0"), "rule 0: not from 1 to 32766"},
		"ACL rule number 32768":  {withACL("in 32768 allow -1 0.0.0.0/0"), "rule 32768: not from 1 to 32766"},
		"two of one number":      {withACL("in 7 allow -1 0.0.0.0/0", "in 7 deny -1 10.0.0.0/8"), "rule 7: another has its number"},
		"neither allow nor deny": {withACL("in 7 permit -1 0.0.0.0/0"), `action "permit"`},
		"one bad route": {func(w *world) {
			table := rt(w)
			table.Table.Associations = []api.RouteTableAssociation{{SubnetId: "subnet-a2"}}
			table.Table.Routes = append(table.Table.Routes, api.Route{DestinationCidrBlock: "10.0.0.0/99", GatewayId: "local"})
			w.subnet("a2", "a", "10.0.2.0/24")
			w.eni("x", "a2", "10.0.2.9", "a-default")
		}, "route table rtb-x"},
		"subnet too small": {func(w *world) { w.subnet("a2", "a", "10.0.2.0/31"); w.eni("x", "a2", "10.0.2.1", "a-default") }, "no size of a subnet"},
		"IPv6 subnet":      {func(w *world) { w.subnet("a2", "a", "fd00::/64"); w.eni("x", "a2", "fd00::9", "a-default") }, "canonical IPv4"},
		"VPC without index": {func(w *world) {
			w.vpc("c", "10.0.0.0/16")
			w.Vpcs["vpc-c"].Index = 0
			w.subnet("c1", "c", "10.0.1.0/24")
			w.eni("x", "c1", "10.0.1.9", "c-default")
		}, "vpc-c has no index"},
		"group of a shared index": {func(w *world) {
			w.group("g1", "a", "in -1 0.0.0.0/0")
			w.group("g2", "a", "in -1 0.0.0.0/0")
			w.Groups["sg-g2"].Index = w.Groups["sg-g1"].Index
			w.eni("x", "a1", "10.0.1.9", "g1")
		}, "sg-g1 and sg-g2 have the same index"},
		"seventeen groups": {func(w *world) {
			var names []string
			for _, r := range "abcdefghijklmnopq" {
				w.group("g"+string(r), "a")
				names = append(names, "g"+string(r))
			}
			w.eni("x", "a1", "10.0.1.9", names...)
		}, "17 security groups"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			w := web()
			tt.damage(w)
			p := w.build()
			if len(p.Problems) != 1 || !strings.HasPrefix(p.Problems[0], "eni-x: ") || !strings.Contains(p.Problems[0], tt.problem) {
				t.Errorf("problems %q, want one of eni-x with %q", p.Problems, tt.problem)
			}
			if have := cut(render(p)); have != cut(want) {
				t.Errorf("the others have changed\n--- have\n%s--- want\n%s", have, cut(want))
			}
			if !p.Spec.Known[spec.ENI(w.Interfaces["eni-x"].Index)] {
				t.Error("the interface is not known: its port would trip the brake")
			}
		})
	}
}

// TestSharedVPCIndex: two VPCs that the kernel could not tell apart are both
// left out, whichever was there first.
func TestSharedVPCIndex(t *testing.T) {
	w := golden["overlapping_vpcs"]()
	w.eni("other", "b1", "10.0.1.99", "b-default")
	w.Vpcs["vpc-b"].Index = w.Vpcs["vpc-a"].Index
	if p := w.build(); len(p.Spec.Ports) != 0 || len(p.Spec.Endpoints) != 0 || len(p.Problems) != 3 {
		t.Errorf("planned anyway:\n%s", render(p))
	}
}

// TestGroupReference: a reference admits the members of a group of the own VPC,
// and nobody else.
func TestGroupReference(t *testing.T) {
	ingress := func(t *testing.T, w *world) []spec.Rule {
		p := w.build()
		return p.Spec.RuleSets[w.port(t, p, "x").Ingress].Rules
	}
	referring := func(to string) *world {
		w := web()
		w.vpc("b", "10.0.0.0/16")
		w.group("g", "a", "in tcp:80-80 "+to)
		w.eni("x", "a1", "10.0.1.9", "g")
		return w
	}
	w := referring("sg-a-default")
	if r := ingress(t, w); len(r) != 1 || r[0].Group != spec.Group(w.Groups["sg-a-default"].Index) || r[0].Prefix.IsValid() {
		t.Errorf("own group: %v", r)
	}
	if r := ingress(t, referring("sg-b-default")); len(r) != 0 {
		t.Errorf("another VPC's group admits: %v", r)
	}
	if r := ingress(t, referring("sg-deleted")); len(r) != 0 {
		t.Errorf("a deleted group admits: %v", r)
	}
	// The same id in another VPC, as after a restore of two stores into one.
	w = referring("sg-a-default")
	w.Groups["sg-a-default"].Group.VpcId = "vpc-b"
	delete(w.Interfaces, "eni-web")
	if r := ingress(t, w); len(r) != 0 {
		t.Errorf("a group of that id in another VPC admits: %v", r)
	}
}

// TestPrefixList: a change of a list changes the rules of those that name it,
// under the id that they had, and another account's list admits nobody.
func TestPrefixList(t *testing.T) {
	w := web()
	w.list("office", "192.0.2.0/24")
	w.group("g", "a", "in tcp:80-80 pl-office")
	w.eni("x", "a1", "10.0.1.9", "g")
	ingress := func() []spec.Rule {
		p := w.build()
		return p.Spec.RuleSets[w.port(t, p, "x").Ingress].Rules
	}
	id := RuleIndex(w.Groups["sg-g"].Rules[0].SecurityGroupRuleId)
	if r := ingress(); len(r) != 1 || r[0].ID != id || r[0].Prefix.String() != "192.0.2.0/24" || r[0].FromPort != 80 {
		t.Errorf("one entry: %v", r)
	}
	w.list("office", "192.0.2.0/24", "198.51.100.0/24")
	if r := ingress(); len(r) != 2 || r[0].ID != id || r[1].ID != id {
		t.Errorf("two entries: %v", r)
	}
	w.Lists["pl-office"].List.OwnerId = "000000000002"
	if r := ingress(); len(r) != 0 {
		t.Errorf("another account's list admits: %v", r)
	}
}

func TestRevocation(t *testing.T) {
	w := web()
	if p := w.build(); w.port(t, p, "web").CutTracked {
		t.Error("keep cuts tracked flows")
	}
	w.Vpcs["vpc-a"].Revocation = api.RevocationCut
	if p := w.build(); !w.port(t, p, "web").CutTracked {
		t.Error("cut keeps tracked flows")
	}
}

func TestRuleIndex(t *testing.T) {
	for id, want := range map[string]uint32{"sgr-0123456789abcdef0": 0x01234567, "sgr-ff": 0xff, "sgr-": 0, "": 0, "sgr-xyz": 0} {
		if have := RuleIndex(id); have != want {
			t.Errorf("%q is %08x, want %08x", id, have, want)
		}
	}
}

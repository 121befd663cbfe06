package nl

import (
	"net"
	"net/netip"
	"os"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/vpcfabric/vpc/dataplane/spec"
)

const natID = "nat-00000000000000001"

// gateway makes the namespace of a NAT gateway.
func gateway(t *testing.T, k *Kernel) string {
	t.Helper()
	name := k.Netns(natID)
	must(t, k.Drivers().Namespaces.Put(ctx, name, struct{}{}))
	return name
}

// TestNATNamespaceIsAWorkloads: a pair leads there by name, its end is configured
// like any workload's, and nothing in it is taken for ours to list.
func TestNATNamespaceIsAWorkloads(t *testing.T) {
	k := testHost(t)
	s, g := k.make(t, 1), gateway(t, k)
	n := NATNamespace(g)
	d := k.Drivers()
	key := LinkKey{s, 100003}
	links := map[LinkKey]Link{key: port(n, 3)}
	converge(t, "link", d.Links, LinkKey.Compare, links)
	must(t, d.Ups.Put(ctx, key, Up{}))
	converge(t, "workload", d.Workloads, byIndex, map[int]Workload{key.Index: {
		Netns: n, Name: "eth0", MAC: mac(103), MTU: 1450, Addr: prefix("10.0.1.5/32"), Gateway: addr("10.0.1.1"),
	}})
	if got := have(t, d.Links, links); len(got) != 1 {
		t.Errorf("links %v", got)
	}
	if got := have(t, d.Addresses, nil); len(got) != 0 {
		t.Errorf("addresses %v", got)
	}
	if got := have(t, d.Namespaces, nil); len(got) != 2 {
		t.Errorf("namespaces %v", got)
	}

	// Made again behind our back it is the same one by name, and the pair is gone.
	must(t, d.Namespaces.Delete(ctx, g))
	gateway(t, k)
	if got := have(t, d.Links, links); got[key] == links[key] {
		t.Error("the pair of the old namespace counts as leading to the new one")
	}
	converge(t, "link", d.Links, LinkKey.Compare, links)
}

func TestOnlyNATNamespacesAreMeantByName(t *testing.T) {
	for _, name := range []string{"vpc-h-vpc-00000000000000001", "vpc-h-nat-1", "h-" + natID, natID, "vpc-h-" + natID + "0"} {
		if got := NATNamespace(name); got != (spec.Netns{}) {
			t.Errorf("%s is %+v", name, got)
		}
	}
	k := testHost(t)
	if _, _, err := openForeign(spec.Netns{Path: pathOf(k.make(t, 1))}); err == nil {
		t.Error("a namespace of another kind was opened without its inode")
	}
	if _, _, err := openForeign(spec.Netns{Path: pathOf(gateway(t, k)), Inode: 1}); err == nil {
		t.Error("a namespace with another inode was opened")
	}
}

func TestSettings(t *testing.T) {
	k := testHost(t)
	g := gateway(t, k)
	want := []Setting{{"net/ipv4/ip_forward", "1"}, {"net/ipv4/conf/nosuch/rp_filter", "0"}, {"net/ipv4/conf/all/send_redirects", "0"}}
	must(t, k.Set(g, want))
	if wrong, err := k.Differing(g, want); err != nil || wrong != "" {
		t.Errorf("%q, %v", wrong, err)
	}
	before := Writes()
	must(t, k.Set(g, want))
	if Writes() != before {
		t.Error("what was right was written")
	}
	want[0].Value = "0"
	if wrong, err := k.Differing(g, want); err != nil || wrong != "net/ipv4/ip_forward 1" {
		t.Errorf("%q, %v", wrong, err)
	}
	if err := k.Set(g, []Setting{{"kernel/hostname", "x"}}); err == nil {
		t.Error("set something that is the machine's")
	}
	if err := k.Set(k.prefix+"vpc-1", want); err == nil {
		t.Error("set something in a namespace that is not ours")
	}
	// The machine's own bound is nobody's here, on kernels that let nobody set it.
	const bound = "net/netfilter/nf_conntrack_max"
	must(t, In(pathOf(g), func() error {
		if info, err := os.Stat("/proc/sys/" + bound); err != nil || info.Mode()&0o222 != 0 {
			return nil
		}
		wrong, err := k.Differing(g, []Setting{{bound, "7"}})
		if wrong != "" {
			t.Errorf("%q", wrong)
		}
		return err
	}))
}

// TestForgetOthers plants connections as a gateway would have them.
func TestForgetOthers(t *testing.T) {
	k := testHost(t)
	g := gateway(t, k)
	inside, outside := net.IPv4(10, 0, 0, 1).To4(), net.IPv4(192, 0, 2, 1).To4()
	must(t, In(pathOf(g), func() error {
		h, err := netlink.NewHandle(unix.NETLINK_NETFILTER)
		if err != nil {
			return err
		}
		defer h.Close()
		for i, translated := range []string{"10.0.1.5", "10.0.1.6", "10.0.1.7"} {
			port := uint16(1000 + i)
			err := h.ConntrackCreate(netlink.ConntrackTable, unix.AF_INET, &netlink.ConntrackFlow{
				FamilyType: unix.AF_INET, TimeOut: 60,
				Forward: netlink.IPTuple{SrcIP: inside, DstIP: outside, SrcPort: port, DstPort: 53, Protocol: unix.IPPROTO_UDP},
				Reverse: netlink.IPTuple{SrcIP: outside, DstIP: net.ParseIP(translated).To4(), SrcPort: 53, DstPort: port, Protocol: unix.IPPROTO_UDP},
			})
			if err != nil {
				return err
			}
		}
		return nil
	}))
	if got, err := k.Tracking(g); err != nil || got.Connections != 3 || got.InsertFailed != 0 || got.Dropped != 0 {
		t.Fatalf("%+v, %v", got, err)
	}
	if n, err := k.ForgetOthers(g, []netip.Addr{addr("10.0.1.5"), addr("10.0.1.7")}); err != nil || n != 1 {
		t.Errorf("forgot %d, %v", n, err)
	}
	if got, err := k.Tracking(g); err != nil || got.Connections != 2 {
		t.Errorf("%+v, %v", got, err)
	}
	if err := new(Tracking).add([]byte{unix.AF_INET}, getStats); err == nil {
		t.Error("half a message was read")
	}
}

package workloads

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net"
	"net/http"
	"os/exec"
	"strings"
	"testing"

	"github.com/vpcfabric/vpc/e2e/netns"
	"github.com/vpcfabric/vpc/e2e/probe"
)

const (
	vmAddr, vmRouter = "10.0.1.10", "10.0.1.1"
	webAddr, dbAddr  = "10.0.1.20", "10.0.2.20"
	large            = 10 << 20 // bytes of one transfer
)

// vmHost is a host in a namespace of its own with one ENI for a machine and two
// attached namespaces, one in its subnet and one in another.
func vmHost(t *testing.T) (h *host, web, db, mac string) {
	t.Helper()
	h = newHost(t, true)
	web, db = h.space("web"), h.space("db")
	h.vpc("create prod --cidr 10.0.0.0/16")
	h.vpc("subnet add web --vpc prod --cidr 10.0.1.0/24")
	h.vpc("subnet add db --vpc prod --cidr 10.0.2.0/24")
	h.vpc("attach netns:" + web + " --subnet web --ip " + webAddr)
	h.vpc("attach netns:" + db + " --subnet db --ip " + dbAddr)
	h.vpc("eni add vm --vpc prod --subnet web --ip " + vmAddr)
	n, err := h.eni("vm")
	h.must(err)
	return h, web, db, n.MacAddress
}

// plug boots a machine on a tap and attaches it to the interface vm.
func (h *host) plug(b bootable, tap, mac string) *machine {
	h.Helper()
	m := newMachine(h, b, tap, mac, vmAddr+"/24", vmRouter)
	h.eventually("QEMU has made "+tap, func() error { return h.hasLink(tap) })
	return m
}

func (h *host) hasLink(name string) error {
	return netns.Do(h.home, func() error { _, err := net.InterfaceByName(name); return err })
}

func TestMachineOnTap(t *testing.T) {
	b := newBootable(t)
	h, web, db, mac := vmHost(t)
	const tap = "vmtap0"
	m := h.plug(b, tap, mac)
	h.vpc("attach tap:" + tap + " --eni vm")
	h.attached("vm", true)
	if h.hasLink(tap) == nil {
		t.Error("the tap is still where the host can use it")
	}
	m.ready()
	for _, ns := range []string{web, db} {
		h.ping(ns, vmAddr)
	}
	for _, addr := range []string{webAddr, dbAddr, vmRouter} {
		m.run("ping -c 1 -W 3 " + addr)
	}
	h.verify()
	t.Run("large transfers", func(t *testing.T) { transfers(t, h, m, db) })
	t.Run("spoofing", func(t *testing.T) { spoofing(t, h, m, web) })
	t.Run("restart of vpcd", func(t *testing.T) {
		h.daemonAway(func() { h.ping(db, vmAddr) })
		h.ping(db, vmAddr)
		h.verify()
	})

	h.vpc("detach tap:" + tap)
	if err := h.hasLink(tap); err != nil {
		t.Errorf("the tap did not come back: %v", err)
	}
	if _, err := m.try("ping -c 1 -W 1 " + webAddr); err == nil {
		t.Error("a detached machine still reaches its subnet")
	}
	h.verify()
	h.vpc("attach tap:" + tap + " --eni vm")
	m.run("ping -c 1 -W 3 " + webAddr)
}

// transfers moves large files both ways: segments as big as offloads make them
// must arrive whole and with right checksums.
func transfers(t *testing.T, h *host, m *machine, peer string) {
	sum := m.run(fmt.Sprintf("head -c %d /dev/urandom >/www/blob && sha256sum </www/blob", large))
	got, err := fetch(peer, "http://"+vmAddr+"/blob")
	if err != nil || len(got) != large {
		t.Fatalf("from the machine: %d bytes, %v", len(got), err)
	}
	if s := sha256.Sum256(got); hex.EncodeToString(s[:]) != strings.Fields(sum)[0] {
		t.Error("from the machine: it arrived changed")
	}

	blob := make([]byte, large)
	rand.Read(blob)
	var l net.Listener
	h.must(netns.Do(peer, func() (err error) { l, err = net.Listen("tcp4", dbAddr+":8080"); return err }))
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Write(blob) })}
	defer srv.Close()
	go srv.Serve(l)
	want := sha256.Sum256(blob)
	if got := m.run("wget -q -O - http://" + dbAddr + ":8080/ | sha256sum"); !bytes.HasPrefix([]byte(got), []byte(hex.EncodeToString(want[:]))) {
		t.Errorf("to the machine: it has %s, want %x", got, want)
	}
	h.verify()
}

// spoofing sends from addresses that are not the machine's.
func spoofing(t *testing.T, h *host, m *machine, peer string) {
	const n = 3
	m.run("ping -c 1 -W 3 " + webAddr)
	m.run("ip addr add 10.0.1.99/32 dev lo; ip addr add 203.0.113.9/32 dev lo")
	before := h.drops()
	sniffer, err := probe.Sniff(peer, probe.Token{})
	h.must(err)
	for _, src := range []string{"10.0.1.99", "203.0.113.9"} {
		if _, err := m.try(fmt.Sprintf("ping -c %d -i 0.2 -W 1 -I %s %s", n, src, webAddr)); err == nil {
			t.Errorf("a ping from %s was answered", src)
		}
	}
	h.eventually("the drops are counted", func() error {
		after := h.drops()
		for reason, count := range after {
			if count == before[reason] {
				delete(after, reason)
			} else {
				after[reason] -= before[reason]
			}
		}
		if len(after) != 1 || after["anti_spoof/spoof"] != 2*n {
			return fmt.Errorf("drops rose by %v, want anti_spoof/spoof by %d", after, 2*n)
		}
		return nil
	})
	if seen, err := sniffer.Close(); err != nil || seen != 0 {
		t.Errorf("the peer saw %d frames, %v", seen, err)
	}
	m.run("ip addr flush dev lo; ping -c 1 -W 3 " + webAddr)
}

// A machine that dies takes its tap along; the next one with the same name is
// the same workload.
func TestMachineIsReplaced(t *testing.T) {
	b := newBootable(t)
	h, web, _, mac := vmHost(t)
	const tap = "vmtap0"
	m := h.plug(b, tap, mac)
	h.vpc("attach tap:" + tap + " --eni vm")
	m.ready()
	h.ping(web, vmAddr)
	for _, away := range []bool{false, true} {
		m.kill()
		if away {
			h.daemonAway(func() { m = newMachine(h, b, tap, mac, vmAddr+"/24", vmRouter) })
		} else {
			h.attached("vm", false)
			h.verify()
			m = newMachine(h, b, tap, mac, vmAddr+"/24", vmRouter)
		}
		h.attached("vm", true)
		m.ready()
		// A daemon that has just come back may still report what was.
		h.verify()
		h.ping(web, vmAddr)
		m.run("ping -c 1 -W 3 " + webAddr)
	}
	h.vpc("detach vm")
	if err := h.hasLink(tap); err != nil {
		t.Errorf("the tap did not come back: %v", err)
	}
}

// A tap without a user of its descriptor, and what is no tap at all.
func TestTapRefused(t *testing.T) {
	need(t, "ip")
	h, _, _, _ := vmHost(t)
	in := func(line string) {
		t.Helper()
		if out, err := h.at("ip", strings.Fields(line)...).CombinedOutput(); err != nil {
			t.Fatalf("ip %s: %v: %s", line, err, out)
		}
	}
	in("link add dummy7 type veth peer name dummy8")
	in("tuntap add mode tun name tun7")
	h.refused(8, "not a tap", "attach tap:dummy7 --eni vm")
	h.refused(8, "not a tap", "attach tap:tun7 --eni vm")
	h.refused(3, "no tap", "attach tap:missing0 --eni vm")
	h.refused(8, "keeps its name", "attach tap:missing0 --eni vm --ifname eth0")

	// One that stays without a user is given back as it was.
	in("tuntap add mode tap name stay0")
	h.vpc("attach tap:stay0 --eni vm --no-wait")
	h.eventually("the tap is taken", func() error {
		if h.hasLink("stay0") == nil {
			return fmt.Errorf("stay0 is still in the host's namespace")
		}
		return nil
	})
	h.vpc("detach tap:stay0")
	h.eventually("the tap is back", func() error { return h.hasLink("stay0") })
	out, err := exec.Command("nsenter", "--net="+netns.Path(h.home), "ip", "link", "show", "stay0").CombinedOutput()
	if err != nil || strings.Contains(string(out), "alias") {
		t.Errorf("the tap came back as %s, %v", out, err)
	}
	h.verify()
}

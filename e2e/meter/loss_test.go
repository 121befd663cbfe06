package meter

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/vpcfabric/vpc/e2e/netns"
)

const (
	lossRate = 10_000
	// outage is how long the path is closed; the meter must see at least half of
	// it, because closing is not instant on a busy machine.
	outage = 100 * time.Millisecond
)

// eventually polls a condition at most a few seconds.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for range 500 {
		if ok() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("it never came true that %s", what)
}

func pair(t *testing.T) (a, b rig) {
	a, b = newRig(t), newRig(t)
	for _, line := range strings.Split(strings.TrimSpace(`
ip link add v0 type veth peer name v1 netns `+b.ns+`
ip addr add 192.0.2.1/24 dev v0
ip link set v0 up`), "\n") {
		a.in(t, line)
	}
	b.in(t, "ip addr add 192.0.2.2/24 dev v1")
	b.in(t, "ip link set v1 up")
	return a, b
}

func TestLossSeesAnOutage(t *testing.T) {
	a, b := pair(t)
	l, err := StartLoss(a.ns, b.ns, netip.MustParseAddrPort("192.0.2.2:7000"), lossRate)
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "a tenth of a second of packets is sent", func() bool { return l.Sent() > lossRate/10 })
	// The receiver's kernel drops: the sender's socket must not notice.
	b.in(t, "nft add table ip outage")
	b.in(t, "nft add chain ip outage in { type filter hook prerouting priority 0 ; policy drop ; }")
	time.Sleep(outage)
	b.in(t, "nft delete table ip outage")
	back := l.Sent()
	eventually(t, "packets are sent again", func() bool { return l.Sent() > back+lossRate/10 })
	got := l.Stop()
	if least := int(outage.Seconds() * lossRate / 2); got.Lost() < least || got.MaxGap < outage/2 {
		t.Errorf("a path closed for 100 ms: %v; want at least %d lost", got, least)
	}
	if got.Lost() > got.Sent/2 {
		t.Errorf("most packets were sent while the path was open: %v", got)
	}
}

func TestLossSeesNothingOnAGoodLink(t *testing.T) {
	a, b := pair(t)
	l, err := StartLoss(a.ns, b.ns, netip.MustParseAddrPort("192.0.2.2:7000"), lossRate)
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "packets are sent", func() bool { return l.Sent() > lossRate/5 })
	if got := l.Stop(); got.Lost() != 0 || got.Duplicates != 0 || got.Received == 0 {
		t.Errorf("a good link: %v", got)
	}
}

func TestLossRefusesAMissingNamespace(t *testing.T) {
	newRig(t)
	if _, err := StartLoss("", "no-such-namespace", netip.MustParseAddrPort("192.0.2.2:7000"), 1); err == nil {
		t.Error("a stream into a namespace that does not exist was started")
	}
	if netns.Exists("no-such-namespace") {
		t.Error("and the namespace exists now")
	}
}

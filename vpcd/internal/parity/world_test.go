package parity

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/vpcfabric/vpc/vpcd/api"
	"github.com/vpcfabric/vpc/vpcd/internal/host"
	"github.com/vpcfabric/vpc/vpcd/internal/record"
	"github.com/vpcfabric/vpc/vpcd/internal/service"
	"github.com/vpcfabric/vpc/vpcd/internal/store"
	"github.com/vpcfabric/vpc/vpcd/internal/store/storetest"
	"github.com/vpcfabric/vpc/vpcd/internal/wire"
)

// The two accounts of a world; an account's key has its number as id.
const (
	alice = "000000000001"
	bob   = "000000000002"
)

const (
	secret = "a secret of a test"
	region = "us-east-1"
)

// keys gives everybody a key whose id is the account.
type keys struct{}

func (keys) AccessKey(_ context.Context, id string) (service.AccessKey, error) {
	return service.AccessKey{ID: id, Secret: secret, Account: id}, nil
}

// anyWorkload is a host that has every target.
type anyWorkload struct{ host.Host }

func (anyWorkload) Resolve(_ context.Context, target, ifname string, _ bool) (host.Workload, error) {
	return host.Workload{Target: target, Display: target, Kind: "netns", IfName: ifname}, nil
}

// world is a service behind the EC2 wire.
type world struct {
	store    *store.Store
	handlers map[string]service.Handler
	url      string
}

// newWorld serves an empty store. Its region has the name of one of AWS, so
// that other servers can be in the same.
func newWorld(t *testing.T) *world {
	t.Helper()
	limits := map[string]int64{}
	for _, name := range []string{"vpcs", "cidrs-per-vpc", "rules-per-sg", "eips", "nat-gateways-per-zone"} {
		limits[name] = -1
	}
	w := &world{store: storetest.Open(t, record.Decode)}
	w.handlers = service.New(service.Config{
		Store: w.store, Host: anyWorkload{}, HostName: "h1", Region: region, Limits: limits,
		PublicPools: []netip.Prefix{netip.MustParsePrefix("198.18.0.0/24")},
	}).Handlers()
	l, err := wire.ListenEC2("127.0.0.1:0", "", "")
	if err != nil {
		t.Fatal(err)
	}
	w.url = l.URL()
	s := wire.NewEC2(w.handlers, keys{}, slog.New(slog.DiscardHandler))
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := s.Shutdown(ctx); err != nil {
			t.Error(err)
		}
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return w
}

// as is this world for one account.
func (w *world) as(account string) endpoint {
	return endpoint{url: w.url, key: account, secret: secret}
}

// attach gives an account a workload in a subnet and returns the ids of its
// interface, its instance and the attachment. EC2's clients cannot do this.
func (w *world) attach(t *testing.T, account, subnet, target string) (eni, instance, attachment string) {
	t.Helper()
	res, _, err := w.handlers["AttachWorkload"](t.Context(), service.Caller{Account: account}, &api.AttachWorkloadRequest{Target: target, SubnetId: subnet})
	if err != nil {
		t.Fatal(err)
	}
	made := res.(*api.AttachWorkloadResult)
	return made.NetworkInterface.NetworkInterfaceId, made.InstanceId, made.NetworkInterface.Attachment.AttachmentId
}

// dump is the content of the store: every key with its revision.
func (w *world) dump() map[string]int64 {
	out := map[string]int64{}
	sn := w.store.Snapshot()
	for key := range store.List[any](sn, record.Root) {
		out[key], _ = sn.ModRevision(key)
	}
	return out
}

// changed lists the keys that differ from an earlier dump.
func (w *world) changed(before map[string]int64) []string {
	after := w.dump()
	if maps.Equal(before, after) {
		return nil
	}
	var keys []string
	for key := range before {
		if before[key] != after[key] {
			keys = append(keys, key)
		}
	}
	for key := range after {
		if _, ok := before[key]; !ok {
			keys = append(keys, key)
		}
	}
	return keys
}

// names are what a script calls the ids that servers give.
type names map[string]string

// furnish makes what testdata/world.txt says, and a workload, for an account.
func (w *world) furnish(t *testing.T, account string) names {
	t.Helper()
	n := names{"zone": region + "a", "account": account}
	text, err := os.ReadFile("testdata/world.txt")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		c, ok := readCall(t, line)
		if !ok {
			continue
		}
		if strings.HasPrefix(c.action, "attach:") {
			n["used"], n["instance"], n["primary"] = w.attach(t, account, n["subnet"], "netns:"+account)
			continue
		}
		a := w.as(account).call(t, c.action, c.form(t, n))
		if a.status != 200 {
			t.Fatalf("testdata/world.txt: %s%s", line, a.body)
		}
		c.keep(t, a, n)
	}
	return n
}

// scriptCall is one line of a script: an action with its parameters, $NAME for
// what an earlier answer gave, and NAME=PATH after > for what this one gives.
type scriptCall struct {
	line, action string
	params       [][2]string
	keeps        [][2]string
}

// readCall reads a line; ok is false for comments and empty ones.
func readCall(t testing.TB, line string) (c scriptCall, ok bool) {
	t.Helper()
	line, _, _ = strings.Cut(strings.TrimSpace(line), "#")
	send, keep, _ := strings.Cut(line, " > ")
	words := strings.Fields(send)
	if len(words) == 0 {
		return c, false
	}
	c = scriptCall{line: line, action: words[0]}
	c.params, c.keeps = pairs(t, words[1:]), pairs(t, strings.Fields(keep))
	return c, true
}

func pairs(t testing.TB, words []string) [][2]string {
	t.Helper()
	var out [][2]string
	for _, word := range words {
		name, value, ok := strings.Cut(word, "=")
		if !ok {
			t.Fatalf("want NAME=VALUE, have %q", word)
		}
		out = append(out, [2]string{name, value})
	}
	return out
}

// form puts names into a call's parameters. Values are written as in a URL.
func (c scriptCall) form(t testing.TB, n names) url.Values {
	t.Helper()
	form := url.Values{}
	for _, p := range c.params {
		value, err := url.QueryUnescape(expand(t, p[1], n))
		if err != nil {
			t.Fatalf("%q: %v", c.line, err)
		}
		form.Set(p[0], value)
	}
	return form
}

func expand(t testing.TB, s string, n names) string {
	t.Helper()
	return os.Expand(s, func(name string) string {
		value, ok := n[name]
		if !ok {
			t.Fatalf("%q: nothing is called %q so far", s, name)
		}
		return value
	})
}

// keep takes what a call's answer gives into names.
func (c scriptCall) keep(t testing.TB, a answer, n names) {
	t.Helper()
	for _, k := range c.keeps {
		n[k[0]] = a.root.text1(k[1])
		if n[k[0]] == "" {
			t.Fatalf("%q: no %s in the answer %s", c.line, k[1], a.body)
		}
	}
}

func TestScriptLines(t *testing.T) {
	c, ok := readCall(t, "CreateSubnet VpcId=$vpc Tag=a%20b > subnet=subnet/subnetId # why\n")
	got := fmt.Sprintln(ok, c.action, c.form(t, names{"vpc": "vpc-1"}).Encode(), c.keeps)
	if got != "true CreateSubnet Tag=a+b&VpcId=vpc-1 [[subnet subnet/subnetId]]\n" {
		t.Error(got)
	}
	if _, ok := readCall(t, "# a comment\n"); ok {
		t.Error("a comment is a call")
	}
}

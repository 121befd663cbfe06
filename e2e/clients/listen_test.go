package clients

import (
	"net/url"
	"os/exec"
	"strings"
	"testing"

	"github.com/vpcfabric/vpc/e2e/netns"
)

// TestListenersAreThoseDeclared runs a daemon in a network namespace of its
// own, where every listener that ss shows is the daemon's.
func TestListenersAreThoseDeclared(t *testing.T) {
	for _, row := range []struct {
		name  string
		flags []string
		count int
	}{{"without", nil, 0}, {"with", []string{"--ec2-listen", loopback}, 1}} {
		t.Run(row.name, func(t *testing.T) {
			h := newHost(t)
			h.home = h.space("home")
			if out, err := exec.Command("nsenter", "--net="+netns.Path(h.home), "--", "ip", "link", "set", "lo", "up").CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			h.start(row.flags...)
			var want []string
			if row.count > 0 {
				at, err := url.Parse(h.env(account)["AWS_ENDPOINT_URL"])
				h.must(err)
				want = append(want, "tcp "+at.Host)
			}
			got := h.listeners()
			if strings.Join(got, ", ") != strings.Join(want, ", ") {
				t.Errorf("listeners are %v, want %v", got, want)
			}
		})
	}
}

// listeners are what ss -lntup shows in the daemon's namespace, as PROTO ADDRESS.
func (h *host) listeners() (out []string) {
	h.Helper()
	text, err := exec.Command("nsenter", "--net="+netns.Path(h.home), "--", "ss", "-H", "-lntup").Output()
	h.must(err)
	for line := range strings.Lines(string(text)) {
		if f := strings.Fields(line); len(f) > 4 {
			out = append(out, f[0]+" "+f[4])
		}
	}
	return out
}

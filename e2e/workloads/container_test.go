package workloads

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/vpcfabric/vpc/e2e/netns"
)

// fetch gets a page from inside a namespace, over a connection of its own.
func fetch(ns, url string) ([]byte, error) { return fetchWithin(ns, url, 3*time.Second) }

// fetchWithin gives the connection a time to be made in. One shorter than the
// kernel's second before it repeats itself shows when a path came back.
func fetchWithin(ns, url string, connect time.Duration) ([]byte, error) {
	tr := &http.Transport{DisableKeepAlives: true, DialContext: func(_ context.Context, _, addr string) (c net.Conn, err error) {
		err = netns.Do(ns, func() error { c, err = net.DialTimeout("tcp4", addr, connect); return err })
		return c, err
	}}
	resp, err := (&http.Client{Transport: tr, Timeout: patience}).Get(url)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: %s", url, resp.Status)
	}
	return io.ReadAll(resp.Body)
}

// docked is a host with an engine, a VPC with two subnets, and the attached
// container web1 (10.0.1.10) and namespace db (10.0.2.20).
func docked(t *testing.T) (h *host, e *engine, db string) {
	t.Helper()
	need(t, "dockerd", "containerd", "docker", "unshare", "tar")
	e = newEngine(t)
	h = newHost(t, false, "--docker-socket", e.socket())
	db = h.space("db")
	h.vpc("create prod --cidr 10.0.0.0/16")
	h.vpc("subnet add web --vpc prod --cidr 10.0.1.0/24")
	h.vpc("subnet add db --vpc prod --cidr 10.0.2.0/24")
	e.web("web1", "--network", "none")
	h.vpc("attach docker:web1 --subnet web --ip 10.0.1.10")
	h.vpc("attach netns:" + db + " --subnet db --ip 10.0.2.20")
	return h, e, db
}

// answers wants a page of the container's own name, at the first try.
func (h *host) answers(from, addr, name string) {
	h.Helper()
	if page, err := fetch(from, "http://"+addr+"/"); err != nil || strings.TrimSpace(string(page)) != name {
		h.Errorf("%s from %s: %q, %v", addr, from, page, err)
	}
}

// answersSoon waits for a container that is being attached again.
func (h *host) answersSoon(from, addr string) {
	h.Helper()
	h.within(5*time.Second, addr+" answers again", func() error {
		_, err := fetchWithin(from, "http://"+addr+"/", 200*time.Millisecond)
		return err
	})
}

func TestContainerTraffic(t *testing.T) {
	h, e, db := docked(t)
	e.web("web2", "--network", "none")
	h.vpc("attach docker:" + e.id("web2")[:12] + " --subnet web --ip 10.0.1.11 --name second")
	h.answers(db, "10.0.1.10", "web1")
	h.answers(db, "10.0.1.11", "web2")
	for _, line := range []string{
		"exec web1 ping -c 1 -W 2 10.0.2.20",
		"exec web1 ping -c 1 -W 2 10.0.1.11",
		"exec web1 wget -q -O - http://10.0.1.11/",
	} {
		e.docker(line)
	}
	// Nothing but what a workload needs: an address, a route, its own loopback.
	if got := e.docker("exec web1 ip -4 route"); !strings.HasPrefix(got, "default via 10.0.1.1 dev eth0") {
		t.Errorf("routes of web1:\n%s", got)
	}
	if list := h.vpc("eni list"); !strings.Contains(list, "docker:web1") || !strings.Contains(list, "docker:web2") {
		t.Errorf("the containers have no names:\n%s", list)
	}
	h.verify()
	h.vpc("detach docker:web2")
	if got := e.docker("exec web2 ip -4 addr show"); strings.Contains(got, "eth0") {
		t.Errorf("web2 still has a link:\n%s", got)
	}
	h.refused(3, "docker:web2", "eni show docker:web2")
	h.verify()
}

func TestContainerRestarts(t *testing.T) {
	h, e, db := docked(t)
	before := h.attached("docker:web1", true)
	for range 3 {
		e.docker("restart -t 0 web1")
		began := time.Now()
		h.answersSoon(db, "10.0.1.10")
		t.Logf("web1 answered %s after its restart", time.Since(began).Round(time.Millisecond))
		e.docker("exec web1 ping -c 1 -W 2 10.0.2.20")
	}
	after := h.attached("docker:web1", true)
	if after.NetworkInterfaceId != before.NetworkInterfaceId || after.PrivateIpAddress != before.PrivateIpAddress || after.MacAddress != before.MacAddress {
		t.Errorf("the interface was %+v and is %+v", before, after)
	}
	h.verify()

	// Stopped: the port is down, the record stays; started: it works again.
	e.docker("stop -t 0 web1")
	h.attached("docker:web1", false)
	h.verify()
	h.refused(8, "docker start web1", "attach docker:web1 --subnet web")
	e.docker("start web1")
	h.attached("docker:web1", true)
	h.answers(db, "10.0.1.10", "web1")

	// While the daemon is away.
	h.daemonAway(func() { e.docker("restart -t 0 web1") })
	h.answersSoon(db, "10.0.1.10")
	h.verify()
}

func TestContainerRemoved(t *testing.T) {
	h, e, db := docked(t)
	eni := h.attached("docker:web1", true).NetworkInterfaceId
	e.docker("rm -f web1")
	h.released(eni)
	h.verify()

	// Another container under the old name is another workload.
	e.web("web1", "--network", "none")
	if _, err := fetch(db, "http://10.0.1.10/"); err == nil {
		t.Error("a new container under an old name was attached")
	}
	if got := e.docker("exec web1 ip -4 addr show"); strings.Contains(got, "10.0.1.10") {
		t.Errorf("the new container has the address of the old one:\n%s", got)
	}
	h.vpc("eni rm " + eni)
	h.refused(3, eni, "eni show "+eni)
	h.vpc("attach docker:web1 --subnet web --ip 10.0.1.10")
	h.answers(db, "10.0.1.10", "web1")
	h.verify()
}

// Removed while no daemon looks: as when one does.
func TestContainerRemovedWhileAway(t *testing.T) {
	h, e, db := docked(t)
	eni := h.attached("docker:web1", true).NetworkInterfaceId
	h.daemonAway(func() { e.docker("rm -f web1") })
	h.released(eni)
	h.vpc("eni rm " + eni)
	e.web("web1", "--network", "none")
	h.vpc("attach docker:web1 --subnet web --ip 10.0.1.10")
	h.answers(db, "10.0.1.10", "web1")
	h.verify()
}

// A kept interface outlives the container and serves the next one.
func TestContainerOnKeptInterface(t *testing.T) {
	h, e, db := docked(t)
	h.vpc("detach docker:web1")
	h.vpc("eni add fixed --vpc prod --subnet web --ip 10.0.1.50")
	h.vpc("attach docker:web1 --eni fixed")
	h.answers(db, "10.0.1.50", "web1")
	e.docker("rm -f web1")
	h.released("fixed")
	e.web("next", "--network", "none")
	h.vpc("attach docker:next --eni fixed")
	h.answers(db, "10.0.1.50", "next")
	h.verify()
}

func TestContainerRefused(t *testing.T) {
	h, e, _ := docked(t)
	for _, mode := range []string{"host", "container:web1"} {
		name, _, _ := strings.Cut(mode, ":")
		e.docker("run -d --name on" + name + " --network " + mode + " " + image + " httpd -f -p 81")
	}
	e.docker("create --name asleep --network none " + image + " httpd -f")
	for _, c := range []struct {
		exit        int
		words, line string
	}{
		{8, "host's network", "attach docker:onhost --subnet web"},
		{8, "shares the network", "attach docker:oncontainer --subnet web"},
		{8, "docker start asleep", "attach docker:asleep --subnet web"},
		{3, "no container", "attach docker:nobody --subnet web"},
		{4, "may mean 2 containers", "attach docker:" + ambiguous(e) + " --subnet web"},
		{8, "docker:CONTAINER", "attach docker:no/name --subnet web"},
		{4, "--ifname", "attach docker:web1 --subnet db"},
		{3, "docker:nobody", "detach docker:nobody"},
	} {
		h.refused(c.exit, c.words, c.line)
	}
	h.verify()
	// A second interface, in another subnet.
	h.vpc("attach docker:web1 --subnet db --ifname eth1 --no-default-route --ip 10.0.2.30")
	e.docker("exec web1 ping -c 1 -W 2 -I eth1 10.0.2.20")
	h.verify()
}

// ambiguous makes containers until two ids begin alike, and returns the
// beginning: at most 17 for one hexadecimal digit.
func ambiguous(e *engine) string {
	e.Helper()
	seen := map[string]bool{}
	for line := range strings.Lines(e.docker("ps -aq --no-trunc")) {
		seen[line[:1]] = true
	}
	for range 17 {
		id := e.docker("create " + image + " sh")
		if seen[id[:1]] {
			return id[:1]
		}
		seen[id[:1]] = true
	}
	e.Fatal("no two of 17 ids begin alike")
	return ""
}

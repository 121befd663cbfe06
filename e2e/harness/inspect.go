package harness

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strings"

	"github.com/vpcfabric/vpc/e2e/meter"
	"github.com/vpcfabric/vpc/e2e/netns"
	"github.com/vpcfabric/vpc/e2e/probe"
)

// cmdArrives sends packets and wants all of them at the destination and none in
// any other namespace of the script.
//
//	arrives 5 udp web db:53 [src=ADDRESS]
func cmdArrives(c call, args []string) error {
	if len(args) < 4 {
		return errors.New("want N PROTO FROM TO[:PORT]")
	}
	// The rest of the line is options only.
	neg, err := parseNegative(args[0], append(args[4:], "none/none", "--", "", "", ""))
	if err != nil {
		return err
	}
	p := probe.Packet{Proto: args[1], Token: probe.NewToken(), ID: 1, SrcPort: 40000}
	if p.Dst, p.DstPort, err = c.address(args[3]); err != nil {
		return err
	}
	if p.Src, _, err = c.address(args[2]); err != nil {
		return err
	}
	if err := c.options(&p, neg.opts); err != nil {
		return err
	}
	to := neg.opts["at"]
	if to == "" {
		to, _, _ = strings.Cut(args[3], ":")
	}
	sniffers := map[string]*probe.Sniffer{}
	defer func() {
		for _, s := range sniffers {
			s.Close()
		}
	}()
	for alias := range c.spaces {
		if alias == args[2] {
			continue
		}
		if sniffers[alias], err = probe.Sniff(c.full(alias), p.Token); err != nil {
			return err
		}
	}
	if err := probe.Send(c.full(args[2]), p, neg.n); err != nil {
		return err
	}
	if sniffers[to] == nil {
		return fmt.Errorf("%s is not another namespace of this script", to)
	}
	poll(arrival, func() bool { return sniffers[to].Count() >= neg.n })
	for alias, s := range sniffers {
		want := 0
		if alias == to {
			want = neg.n
		}
		delete(sniffers, alias)
		got, err := s.Close()
		if err != nil {
			return err
		}
		if got != want {
			return fmt.Errorf("%s saw %d packets, want %d", alias, got, want)
		}
	}
	return nil
}

// cmdNeighbours writes a workload's neighbours, address and MAC, into a file.
//
//	neighbours web before
func cmdNeighbours(c call, args []string) error {
	if len(args) != 2 || !c.spaces[args[0]] {
		return errors.New("want a namespace of this script and a file")
	}
	out, err := exec.Command("nsenter", "--net="+netns.Path(c.full(args[0])), "--", "ip", "neigh", "show").CombinedOutput()
	if err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	var lines []string
	for line := range strings.Lines(string(out)) {
		// What follows the MAC is the entry's age.
		if head, mac, ok := strings.Cut(line, " lladdr "); ok {
			lines = append(lines, head+" "+strings.Fields(mac)[0])
		}
	}
	sort.Strings(lines)
	return os.WriteFile(c.ts.MkAbs(args[1]), []byte(strings.Join(lines, "\n")+"\n"), 0o644)
}

// cmdLinkLocal wants no IPv6 address on any link of ours.
func cmdLinkLocal(c call, _ []string) error {
	spaces, err := filepath.Glob(netns.Path("vpc-" + c.name + "-*"))
	if err != nil {
		return err
	}
	if len(spaces) == 0 {
		return errors.New("there are no namespaces of ours")
	}
	for _, path := range spaces {
		if err := netns.Do(filepath.Base(path), noIPv6); err != nil {
			return fmt.Errorf("%s: %w", filepath.Base(path), err)
		}
	}
	// In root, the difference to the time before the script is ours.
	now, err := meter.Take(c.scope())
	if err != nil {
		return err
	}
	for _, ch := range meter.Compare(c.before, now) {
		if ch.Key.Kind == "address" && ch.Key.Netns == "" && strings.Contains(ch.Key.Name, "fe80:") {
			return fmt.Errorf("%v", ch)
		}
	}
	return nil
}

func noIPv6() error {
	links, err := net.Interfaces()
	if err != nil {
		return err
	}
	for _, l := range links {
		addrs, err := l.Addrs()
		if err != nil {
			return err
		}
		for _, a := range addrs {
			if p, err := netip.ParsePrefix(a.String()); err == nil && p.Addr().Is6() && !p.Addr().IsLoopback() {
				return fmt.Errorf("%s has %s", l.Name, p)
			}
		}
	}
	return nil
}

// cmdHostAddress sets HOSTADDRESS to an address of the host.
func cmdHostAddress(c call, _ []string) error {
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return err
	}
	for _, a := range addrs {
		p, err := netip.ParsePrefix(a.String())
		if err == nil && p.Addr().Is4() && !p.Addr().IsLoopback() {
			c.ts.Setenv("HOSTADDRESS", p.Addr().String())
			return nil
		}
	}
	return errors.New("the host has no IPv4 address but loopback")
}

// cmdNoListeners wants the daemon to listen on nothing but unix sockets with a path.
func cmdNoListeners(c call, _ []string) error {
	if c.daemon == nil {
		return errors.New("vpcd does not run")
	}
	pid := fmt.Sprintf("pid=%d,", c.daemon.Process.Pid)
	out, err := exec.Command("ss", "-H", "-l", "-n", "-p", "-t", "-u", "-w", "-x", "-0").CombinedOutput()
	if err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	unix := 0
	for line := range strings.Lines(string(out)) {
		if !strings.Contains(line, pid) {
			continue
		}
		f := strings.Fields(line)
		if !strings.HasPrefix(f[0], "u_") || !strings.HasPrefix(f[4], "/") {
			return fmt.Errorf("it listens: %s", line)
		}
		unix++
	}
	if unix == 0 {
		return errors.New("not even its own socket was found")
	}
	return nil
}

// denied is a stream that must not arrive anywhere.
type denied struct {
	stream   *probe.Stream
	sniffers map[string]*probe.Sniffer
}

// cmdDenied sends a forbidden stream while other things happen.
//
//	denied start x b:9     a thousand packets a second, each from another port
//	denied end             some were sent, none was seen
func cmdDenied(c call, args []string) error {
	switch {
	case len(args) == 3 && args[0] == "start" && c.denied == nil:
		return c.startDenied(args[1], args[2])
	case len(args) == 1 && args[0] == "end" && c.denied != nil:
		sent, seen, err := c.stopDenied()
		fmt.Fprintf(c.ts.Stdout(), "%d sent\n", sent)
		if err == nil && (sent == 0 || seen != 0) {
			err = fmt.Errorf("of %d packets %d arrived", sent, seen)
		}
		return err
	}
	return errors.New("want start FROM TO:PORT, then end")
}

func (c call) startDenied(from, to string) (err error) {
	p := probe.Packet{Proto: "udp", Token: probe.NewToken(), SrcPort: 1}
	if p.Dst, p.DstPort, err = c.address(to); err != nil {
		return err
	}
	if p.Src, _, err = c.address(from); err != nil {
		return err
	}
	d := &denied{sniffers: map[string]*probe.Sniffer{}}
	c.host.denied = d
	for alias := range c.spaces {
		if alias == from || alias == c.inside { // the host forwards
			continue
		}
		if d.sniffers[alias], err = probe.Sniff(c.full(alias), p.Token); err != nil {
			return err
		}
	}
	d.stream, err = probe.StartStream(c.full(from), p)
	return err
}

func (h *host) stopDenied() (sent, seen int, err error) {
	d := h.denied
	h.denied = nil
	if d.stream != nil {
		sent = d.stream.Close()
	}
	for _, s := range d.sniffers {
		n, e := s.Close()
		seen += n
		err = errors.Join(err, e)
	}
	return sent, seen, err
}

package harness

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/vpcfabric/vpc/e2e/probe"
)

// cmdServe starts echo servers that run until the script ends.
//
//	serve db tcp/5432 udp/53
//	serve world dns/test      a name server; every name under test. is the world's server
func cmdServe(c call, args []string) error {
	if len(args) < 2 || !c.spaces[args[0]] {
		return errors.New("want a namespace of this script and PROTO/PORT…")
	}
	for _, what := range args[1:] {
		network, number, _ := strings.Cut(what, "/")
		if network == "dns" {
			names, err := probe.ServeNames(c.full(args[0]), number, c.fixed[world])
			if err != nil {
				return err
			}
			c.servers = append(c.servers, names)
			continue
		}
		port, err := strconv.ParseUint(number, 10, 16)
		if err != nil {
			return err
		}
		e, err := probe.Serve(c.full(args[0]), network, uint16(port))
		if err != nil {
			return fmt.Errorf("%s in %s: %w", what, args[0], err)
		}
		c.servers = append(c.servers, e)
	}
	return nil
}

// cmdOK wants one round trip to succeed at the first try.
//
//	ok icmp web db
//	ok tcp web db:5432
//	ok udp web db:53 size=8000      bytes of data
func cmdOK(c call, args []string) error {
	size := 0
	if len(args) == 4 && args[0] != "icmp" {
		if _, err := fmt.Sscanf(args[3], "size=%d", &size); err != nil {
			return fmt.Errorf("%s: %w", args[3], err)
		}
		args = args[:3]
	}
	if len(args) != 3 {
		return errors.New("want PROTO FROM TO[:PORT] [size=N]")
	}
	to, port, err := c.address(args[2])
	if err != nil {
		return err
	}
	from := c.full(args[1])
	if args[0] == "icmp" {
		err = probe.Ping(from, to, 0)
	} else {
		err = probe.RoundTripSize(from, args[0], netip.AddrPortFrom(to, port), size)
	}
	if err != nil {
		return fmt.Errorf("%s from %s to %s (%s): %w", args[0], args[1], args[2], to, err)
	}
	return nil
}

// cmdChecksums wants datagrams to arrive with right checksums, and one that was
// sent without to arrive without. It needs senders that compute them: no offload.
//
//	checksums web world:7000
func cmdChecksums(c call, args []string) error {
	if len(args) != 2 {
		return errors.New("want FROM TO:PORT")
	}
	to, port, err := c.address(args[1])
	if err != nil {
		return err
	}
	server, _, _ := strings.Cut(args[1], ":")
	return probe.Checksums(c.full(args[0]), c.full(server), netip.AddrPortFrom(to, port))
}

// negative is a line "… OPTION=VALUE… REASON/STAGE -- CONTROL" behind its
// fixed words.
type negative struct {
	n       int
	opts    map[string]string
	want    drops
	control []string
}

// parseNegative reads what follows the fixed words; n packets are sent.
func parseNegative(count string, args []string) (negative, error) {
	n, err := strconv.Atoi(count)
	if err != nil {
		return negative{}, err
	}
	out := negative{n: n, opts: map[string]string{}, want: drops{}}
	split := slices.Index(args, "--")
	if split < 0 || len(args)-split < 4 {
		return out, errors.New("a negative test needs a control: -- PROTO FROM TO[:PORT] [size=N]")
	}
	out.control = args[split+1:]
	for _, a := range args[:split] {
		if key, value, ok := strings.Cut(a, "="); ok {
			out.opts[key] = value
		} else {
			out.want[a] = int64(n)
		}
	}
	if len(out.want) != 1 {
		return out, errors.New("name the one REASON/STAGE that counts the packets")
	}
	return out, nil
}

// prove runs a negative test: the control before, the packets, the named
// counter up by exactly that many and no other, no namespace but the sender's
// and that of via=ALIAS, which forwards, saw a packet with the token, the control after. The control comes behind the
// packets on the same path, so that nothing is still on its way.
func (c call) prove(neg negative, sender string, token probe.Token, send func() error) error {
	if err := cmdOK(c, neg.control); err != nil {
		return fmt.Errorf("control before: %w", err)
	}
	var watched []string
	var sniffers []*probe.Sniffer
	defer func() {
		for _, s := range sniffers {
			s.Close()
		}
	}()
	for alias := range c.spaces {
		if alias == sender || alias == c.inside { // the host forwards
			continue
		}
		s, err := probe.Sniff(c.full(alias), token)
		if err != nil {
			return err
		}
		watched, sniffers = append(watched, alias), append(sniffers, s)
	}
	before, err := c.drops()
	if err != nil {
		return err
	}
	if err := send(); err != nil {
		return err
	}
	if err := c.awaitDrops(before, neg.want); err != nil {
		return err
	}
	if err := cmdOK(c, neg.control); err != nil {
		return fmt.Errorf("control after: %w", err)
	}
	for i, s := range sniffers {
		seen, err := s.Close()
		if err != nil {
			return err
		}
		want := 0
		if watched[i] == neg.opts["via"] {
			want = neg.n
		}
		if seen != want {
			sniffers = sniffers[i+1:]
			return fmt.Errorf("%s saw %d packets, want %d", watched[i], seen, want)
		}
	}
	sniffers = nil
	return nil
}

// cmdBlocked sends packets that the sender's kernel routes, and wants none to arrive.
//
//	blocked 5 udp web db:53 security_group/ingress -- icmp web db
//
// Options: src=ADDRESS, sport=PORT, size=BYTES of the packet, flags=syn,ack…,
// icmp=TYPE/CODE, quote=PROTO,FROM:PORT,TO:PORT of an ICMP error, frag=FIELD of
// the IP header, via=ALIAS that forwards them and is where they end.
func cmdBlocked(c call, args []string) error {
	if len(args) < 5 {
		return errors.New("want N PROTO FROM TO[:PORT] REASON/STAGE -- CONTROL")
	}
	neg, err := parseNegative(args[0], args[4:])
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
	return c.prove(neg, args[2], p.Token, func() error { return probe.Send(c.full(args[2]), p, neg.n) })
}

// options sets the fields of a packet that blocked and forge share.
func (c call) options(p *probe.Packet, opts map[string]string) (err error) {
	for key, value := range opts {
		switch key {
		case "src":
			p.Src, _, err = c.address(value)
		case "to":
			p.Dst, p.DstPort, err = c.address(value)
		case "proto":
			p.Proto = value
		case "sport":
			_, err = fmt.Sscan(value, &p.SrcPort)
		case "icmp":
			_, err = fmt.Sscanf(value, "%d/%d", &p.ICMPType, &p.ICMPCode)
		case "flags":
			p.TCPFlags, err = tcpFlags(value)
		case "quote":
			p.Quote, err = c.quote(value)
		case "frag":
			p.IPID = 7
			_, err = fmt.Sscan(value, &p.Fragment)
		case "size":
			_, err = fmt.Sscan(value, &p.Size)
		}
		if err != nil {
			return fmt.Errorf("%s=%s: %w", key, value, err)
		}
	}
	return nil
}

func tcpFlags(list string) (flags uint8, err error) {
	for _, name := range strings.Split(list, ",") {
		bit := slices.Index([]string{"fin", "syn", "rst", "psh", "ack"}, name)
		if bit < 0 {
			return 0, fmt.Errorf("no TCP flag %q", name)
		}
		flags |= 1 << bit
	}
	return flags, nil
}

// quote is the beginning of a packet, PROTO,FROM:PORT,TO:PORT, as an ICMP error
// about it repeats it.
func (c call) quote(text string) ([]byte, error) {
	parts := strings.Split(text, ",")
	if len(parts) != 3 {
		return nil, errors.New("want PROTO,FROM:PORT,TO:PORT")
	}
	p := probe.Packet{Proto: parts[0]}
	var err error
	if p.Src, p.SrcPort, err = c.address(parts[1]); err != nil {
		return nil, err
	}
	if p.Dst, p.DstPort, err = c.address(parts[2]); err != nil {
		return nil, err
	}
	return p.Quoted()
}

// cmdForge sends Ethernet frames as they are, and wants none to arrive.
//
//	forge 5 ip web to=db:53 smac=unknown anti_spoof/spoof -- icmp web db
//	forge 5 arp-reply web sip=router@web tip=db dmac=db arp_ignored/arp -- icmp web db
//
// Options besides those of blocked: smac, dmac (Ethernet), sha, sip, tha, tip
// (ARP), type (ICMPv6), ethertype. Without them the frame is an honest one to
// the router.
func cmdForge(c call, args []string) error {
	if len(args) < 4 {
		return errors.New("want N KIND FROM [OPTION=VALUE…] REASON/STAGE -- CONTROL")
	}
	neg, err := parseNegative(args[0], args[3:])
	if err != nil {
		return err
	}
	own, link, err := probe.Address(c.full(args[2]))
	if err != nil {
		return err
	}
	router, err := c.routerMAC(args[2])
	if err != nil {
		return err
	}
	p := probe.Packet{Proto: "udp", Src: own.Addr(), Dst: own.Masked().Addr().Next(), SrcPort: 40000, DstPort: 9, ID: 1, Token: probe.NewToken()}
	if err := c.options(&p, neg.opts); err != nil {
		return err
	}
	f := probe.Frame{Kind: args[1], Src: link.HardwareAddr, Dst: router, Packet: p,
		SenderMAC: link.HardwareAddr, TargetMAC: make(net.HardwareAddr, 6), SenderIP: own.Addr(), TargetIP: p.Dst}
	if err := c.frameOptions(&f, neg.opts); err != nil {
		return err
	}
	return c.prove(neg, args[2], p.Token, func() error { return probe.SendFrames(c.full(args[2]), link.Name, f, neg.n) })
}

func (c call) frameOptions(f *probe.Frame, opts map[string]string) (err error) {
	for key, value := range opts {
		switch key {
		case "smac":
			f.Src, err = c.mac(value)
		case "dmac":
			f.Dst, err = c.mac(value)
		case "sha":
			f.SenderMAC, err = c.mac(value)
		case "tha":
			f.TargetMAC, err = c.mac(value)
		case "sip":
			f.SenderIP, _, err = c.address(value)
		case "tip":
			f.TargetIP, _, err = c.address(value)
		case "type":
			_, err = fmt.Sscan(value, &f.ICMPv6Type)
		case "ethertype":
			_, err = fmt.Sscanf(value, "0x%x", &f.EtherType)
		case "src", "to", "proto", "sport", "icmp", "flags", "quote", "frag", "size":
			// The packet's own.
		default:
			err = errors.New("no such option")
		}
		if err != nil {
			return fmt.Errorf("%s=%s: %w", key, value, err)
		}
	}
	return nil
}

// cmdMaxSize wants the largest packet that passes with DF to have a size, and
// one byte more to fail at the sender or with the MTU named.
//
//	maxsize web db 1450
func cmdMaxSize(c call, args []string) error {
	if len(args) != 3 {
		return errors.New("want FROM TO BYTES")
	}
	to, _, err := c.address(args[1])
	if err != nil {
		return err
	}
	size, err := strconv.Atoi(args[2])
	if err != nil {
		return err
	}
	if err := probe.Ping(c.full(args[0]), to, size); err != nil {
		return fmt.Errorf("%d bytes: %w", size, err)
	}
	_, link, err := probe.Address(c.full(args[0]))
	if err != nil {
		return err
	}
	if link.MTU != size {
		return fmt.Errorf("the interface of %s has MTU %d, want %d", args[0], link.MTU, size)
	}
	if err := probe.Ping(c.full(args[0]), to, size+1); err == nil {
		return fmt.Errorf("%d bytes passed", size+1)
	}
	return nil
}

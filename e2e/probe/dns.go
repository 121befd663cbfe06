package probe

import (
	"errors"
	"net"
	"net/netip"

	"github.com/miekg/dns"

	"github.com/vpcfabric/vpc/e2e/netns"
)

// Names is a name server in a namespace, over UDP and TCP at port 53: it has one
// zone, of which every name has one address.
type Names struct{ servers []*dns.Server }

// ServeNames returns when the server answers; Close ends it.
func ServeNames(ns, zone string, addr netip.Addr) (*Names, error) {
	var packets net.PacketConn
	var streams net.Listener
	err := netns.Do(ns, func() (err error) {
		if packets, err = net.ListenPacket("udp4", ":53"); err != nil {
			return err
		}
		streams, err = net.Listen("tcp4", ":53")
		return err
	})
	if err != nil {
		if packets != nil {
			packets.Close()
		}
		return nil, err
	}
	mux := dns.NewServeMux()
	mux.HandleFunc(dns.Fqdn(zone), func(w dns.ResponseWriter, asked *dns.Msg) {
		answer := new(dns.Msg).SetReply(asked)
		answer.Authoritative = true
		for _, q := range asked.Question {
			if q.Qtype == dns.TypeA {
				answer.Answer = append(answer.Answer, &dns.A{Hdr: dns.RR_Header{Name: q.Name, Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: 1}, A: addr.AsSlice()})
			}
		}
		w.WriteMsg(answer)
	})
	n := &Names{servers: []*dns.Server{{PacketConn: packets, Handler: mux}, {Listener: streams, Handler: mux}}}
	for _, s := range n.servers {
		ready := make(chan struct{})
		s.NotifyStartedFunc = func() { close(ready) }
		go s.ActivateAndServe()
		<-ready
	}
	return n, nil
}

// Close ends the server.
func (n *Names) Close() error {
	var errs []error
	for _, s := range n.servers {
		errs = append(errs, s.Shutdown())
	}
	return errors.Join(errs...)
}

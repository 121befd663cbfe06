package nft

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// second and third are registers beside the first, where one value is not enough.
const (
	second = unix.NFT_REG_2
	third  = unix.NFT_REG_3
)

// Offsets in headers, in bytes.
const (
	fragmentOffset = 6  // IPv4
	protocolOffset = 9  // IPv4
	flagsOffset    = 13 // TCP
)

var protocols = map[string]byte{"icmp": unix.IPPROTO_ICMP, "tcp": unix.IPPROTO_TCP, "udp": unix.IPPROTO_UDP}

// ip matches a field of the IPv4 header.
func (w *words) ip() error {
	switch field := w.next(); field {
	case "protocol":
		number, ok := protocols[w.next()]
		if !ok {
			return fmt.Errorf("of protocols, only tcp, udp and icmp are known here")
		}
		w.header(expr.PayloadBaseNetworkHeader, protocolOffset, 1)
		w.is(number)
		return nil
	case "frag-off":
		return w.fragment()
	default:
		return w.address(field)
	}
}

// header loads bytes of a packet.
func (w *words) header(base expr.PayloadBase, offset, size uint32) {
	w.add(&expr.Payload{DestRegister: register, Base: base, Offset: offset, Len: size})
}

// is compares what was loaded.
func (w *words) is(data ...byte) {
	w.add(&expr.Cmp{Op: expr.CmpOpEq, Register: register, Data: data})
}

// mask keeps some bits of what was loaded.
func (w *words) mask(bits ...byte) {
	w.add(&expr.Bitwise{SourceRegister: register, DestRegister: register, Len: uint32(len(bits)), Mask: bits, Xor: make([]byte, len(bits))})
}

// fragmentMask is all of the field but the bit that forbids fragments.
const fragmentMask = 0x3fff

// fragment matches every fragment, the first one too: & 16383 != 0.
func (w *words) fragment() error {
	if text := strings.Join([]string{w.next(), w.next(), w.next(), w.next()}, " "); text != fmt.Sprintf("& %d != 0", fragmentMask) {
		return fmt.Errorf("%q: of frag-off, only & %d != 0 is known here", text, fragmentMask)
	}
	w.header(expr.PayloadBaseNetworkHeader, fragmentOffset, 2)
	w.mask(binary.BigEndian.AppendUint16(nil, fragmentMask)...)
	w.add(&expr.Cmp{Op: expr.CmpOpNeq, Register: register, Data: []byte{0, 0}})
	return nil
}

// addressIn matches an address against a set.
func (w *words) addressIn(offset uint32, set string) error {
	if w.sets[set] != "ipv4_addr" {
		return fmt.Errorf("no set %q of addresses", set)
	}
	w.header(expr.PayloadBaseNetworkHeader, offset, 4)
	w.add(&expr.Lookup{SourceRegister: register, SetName: set})
	return nil
}

// transport asks for the protocol, without which a header beyond IPv4's means
// nothing; nft does so too and does not show it.
func (w *words) transport(protocol string) {
	w.add(&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: register})
	w.is(protocols[protocol])
}

// tcpFlags matches segments without RST, or answers to a SYN.
func (w *words) tcpFlags() error {
	text := strings.Join([]string{w.next(), w.next(), w.next()}, " ")
	if text == "flags syn,ack /" {
		text += " " + w.next()
	}
	bits, ok := map[string]struct{ mask, value byte }{
		"flags ! rst":             {tcpRST, 0},
		"flags syn,ack / syn,ack": {tcpSYN | tcpACK, tcpSYN | tcpACK},
	}[text]
	if !ok {
		return fmt.Errorf("tcp %q is not known here", text)
	}
	w.transport("tcp")
	w.header(expr.PayloadBaseTransportHeader, flagsOffset, 1)
	w.mask(bits.mask)
	w.is(bits.value)
	return nil
}

// Bits of the flags of a TCP header.
const (
	tcpSYN = 0x02
	tcpRST = 0x04
	tcpACK = 0x10
)

// echoRequest is a type of ICMP.
const echoRequest = 8

// icmpType matches pings.
func (w *words) icmpType() error {
	if w.next() != "type" || w.next() != "echo-request" {
		return fmt.Errorf("of icmp, only type echo-request is known here")
	}
	w.transport("icmp")
	w.header(expr.PayloadBaseTransportHeader, 0, 1)
	w.is(echoRequest)
	return nil
}

// direction matches packets of a tracked connection by who began it.
func (w *words) direction() error {
	number, ok := map[string]byte{"original": 0, "reply": 1}[w.next()]
	if !ok {
		return fmt.Errorf("a direction is original or reply")
	}
	w.add(&expr.Ct{Key: expr.CtKeyDIRECTION, Register: register})
	w.is(number)
	return nil
}

// sourceHash matches one of so many parts of all sources: ip saddr mod N seed S I.
func (w *words) sourceHash() error {
	text := strings.Join([]string{w.next(), w.next(), w.next()}, " ")
	modulus, err := strconv.ParseUint(w.next(), 10, 16)
	if text != "ip saddr mod" || err != nil || modulus < 2 || w.next() != "seed" {
		return fmt.Errorf("of jhash, only ip saddr mod N seed S I is known here, N at least 2")
	}
	seed, err := strconv.ParseUint(w.next(), 0, 32)
	if err != nil || seed == 0 {
		return fmt.Errorf("a seed is a number other than 0")
	}
	part, err := strconv.ParseUint(w.next(), 10, 16)
	if err != nil || part >= modulus {
		return fmt.Errorf("a part is a number below %d", modulus)
	}
	w.add(
		&expr.Payload{DestRegister: second, Base: expr.PayloadBaseNetworkHeader, Offset: sourceOffset, Len: 4},
		&expr.Hash{SourceRegister: second, DestRegister: register, Length: 4, Modulus: uint32(modulus), Seed: uint32(seed), Type: expr.HashTypeJenkins},
	)
	w.is(native(uint32(part))...)
	return nil
}

// counter counts in a named one.
func (w *words) counter() error {
	if w.next() != "name" {
		return fmt.Errorf("only named counters are known here")
	}
	name, err := strconv.Unquote(w.next())
	if err != nil || !w.counters[name] {
		return fmt.Errorf("no counter %q", name)
	}
	w.add(&expr.Objref{Type: int(nftables.ObjTypeCounter), Name: name})
	return nil
}

// snat translates to an address, or to one with a range of ports that is searched
// from a random place: to A or to A:FIRST-LAST fully-random.
func (w *words) snat() error {
	if w.next() != "to" {
		return fmt.Errorf("snat to what?")
	}
	address, ports, ranged := strings.Cut(w.next(), ":")
	a, err := netip.ParseAddr(address)
	if err != nil || !a.Is4() {
		return fmt.Errorf("%q is not an IPv4 address", address)
	}
	nat := &expr.NAT{Type: expr.NATTypeSourceNAT, Family: unix.NFPROTO_IPV4, RegAddrMin: register, RegAddrMax: register}
	w.add(&expr.Immediate{Register: register, Data: a.AsSlice()})
	if ranged {
		first, last, err := portRange(ports)
		if err != nil || w.next() != "fully-random" {
			return fmt.Errorf("ports %q: first-last and fully-random", ports)
		}
		w.add(
			&expr.Immediate{Register: second, Data: binary.BigEndian.AppendUint16(nil, first)},
			&expr.Immediate{Register: third, Data: binary.BigEndian.AppendUint16(nil, last)},
		)
		nat.RegProtoMin, nat.RegProtoMax, nat.FullyRandom, nat.Specified = second, third, true, true
	}
	w.add(nat)
	return nil
}

// masquerade translates to the address of the way out: nothing, or to :FIRST-LAST
// fully-random.
func (w *words) masquerade() error {
	if len(w.rest) == 0 {
		w.add(&expr.Masq{})
		return nil
	}
	ports, colon := "", false
	if w.next() == "to" {
		ports, colon = strings.CutPrefix(w.next(), ":")
	}
	first, last, err := portRange(ports)
	if err != nil || !colon || w.next() != "fully-random" {
		return fmt.Errorf("ports %q: to :first-last and fully-random", ports)
	}
	w.add(
		&expr.Immediate{Register: register, Data: binary.BigEndian.AppendUint16(nil, first)},
		&expr.Immediate{Register: second, Data: binary.BigEndian.AppendUint16(nil, last)},
		&expr.Masq{ToPorts: true, FullyRandom: true, RegProtoMin: register, RegProtoMax: second},
	)
	return nil
}

// portRange is FIRST-LAST.
func portRange(text string) (first, last uint16, err error) {
	a, b, _ := strings.Cut(text, "-")
	low, err := strconv.ParseUint(a, 10, 16)
	if err != nil {
		return 0, 0, err
	}
	high, err := strconv.ParseUint(b, 10, 16)
	if err == nil && (low == 0 || low > high) {
		err = fmt.Errorf("%d to %d is no range", low, high)
	}
	return uint16(low), uint16(high), err
}

// reject answers a segment with RST.
func (w *words) reject() error {
	if w.next() != "with" || w.next() != "tcp" || w.next() != "reset" {
		return fmt.Errorf("of reject, only with tcp reset is known here")
	}
	w.add(&expr.Reject{Type: unix.NFT_REJECT_TCP_RST})
	return nil
}

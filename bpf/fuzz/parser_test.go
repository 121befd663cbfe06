package fuzz

// The reference parser: what RFC 791, 768, 792 and 9293 say of a packet's
// lengths, and DESIGN.md of fragments and of what is readable.

const (
	protoICMP = 1
	protoTCP  = 6
	protoUDP  = 17

	dropMalformed = "malformed"
	dropFragment  = "fragment"
)

// frame is one packet as the kernel hands it over.
type frame struct {
	ifindex, vlan    uint32
	gsoSize, gsoSegs uint32
	length, linear   int  // bytes of the frame, and of those that can be read directly
	stuck            bool // nothing more can be made linear
	bytes            []byte
	now              uint64
}

// readable says whether the first n bytes are, or can be made so.
func (f frame) readable(n int) bool { return n <= f.length && (!f.stuck || n <= f.linear) }

// at are n bytes of the frame; behind those that were given it is 0.
func (f frame) at(from, n int) []byte {
	out := make([]byte, n)
	if from < len(f.bytes) {
		copy(out, f.bytes[from:])
	}
	return out
}

// parsed is struct frame_answer's part about the packet. Addresses and ports
// are in network order, that is, as they lie in the frame.
type parsed struct {
	ENI, Source, Dest            uint32
	Sport, Dport                 uint16
	Proto, Dir                   uint8
	L4, Header, FragID           uint16
	Len                          uint32
	TCP, SYN, Type, Code         uint8
	Fragment, First, Err, Quotes uint8
	Service                      uint32
	QuotedENI                    uint32
	QuotedSource, QuotedDest     uint32
	QuotedSport, QuotedDport     uint16
	QuotedProto, Reason          uint8
	Pad                          [2]uint8
	Seq, Ack                     uint32
}

// Bits of enum flow_seen.
const (
	seenSYN = 1 << iota
	seenACK
	seenFIN
	seenRST
	seenAny
	seenSeq
)

func flag(b bool) uint8 {
	if b {
		return 1
	}
	return 0
}

// parse is what the programs should find in a frame, or the reason of a drop.
func (f frame) parse() (p parsed, drop string) {
	if !f.readable(14 + 20) {
		return p, dropMalformed
	}
	ip := f.at(14, 20)
	header, total := int(ip[0]&15)*4, int(be.Uint16(ip[2:]))
	if total == 0 && f.gsoSegs > 0 {
		total = f.length - 14
	}
	if ip[0]>>4 != 4 || header < 20 || header > total || total > f.length-14 {
		return p, dropMalformed
	}
	p = parsed{
		ENI: f.ifindex - portBase, Source: ne.Uint32(ip[12:]), Dest: ne.Uint32(ip[16:]), Proto: ip[9], Dir: 1,
		L4: uint16(14 + header), Header: uint16(header), FragID: ne.Uint16(ip[4:]), Len: uint32(total),
	}
	place := be.Uint16(ip[6:])
	offset, more := place&0x1fff, place&0x2000 != 0
	switch {
	case offset == 1:
		return p, dropFragment
	case offset > 1:
		p.Fragment, p.TCP = 1, seenAny
	default:
		p.First = flag(more)
		if !f.layer4(&p, total-header) {
			return p, dropMalformed
		}
	}
	p.Service = uint32(p.Proto) << 16
	switch p.Proto {
	case protoICMP:
		p.Service |= uint32(p.Type)<<8 | uint32(p.Code)
	case protoTCP, protoUDP:
		p.Service |= uint32(swap(p.Dport))
	}
	if p.Proto == protoICMP && p.Fragment == 0 && (p.Type == 3 || p.Type == 4 || p.Type == 11 || p.Type == 12) {
		p.Err = 1
		f.quote(&p)
	}
	return p, ""
}

// swap turns a port of the frame into a number.
func swap(port uint16) uint16 { return be.Uint16(ne.AppendUint16(nil, port)) }

// layer4 reads the header of a packet that has room for so many bytes of it.
func (f frame) layer4(p *parsed, room int) bool {
	need := map[uint8]int{protoTCP: 20, protoUDP: 8, protoICMP: 8}[p.Proto]
	p.TCP = seenAny
	if room < need || need > 0 && !f.readable(int(p.L4)+need) {
		return false
	}
	b := f.at(int(p.L4), need)
	switch p.Proto {
	case protoTCP:
		size := int(b[12]>>4) * 4
		if size < 20 || size > room {
			return false
		}
		p.Header += uint16(size)
		p.Sport, p.Dport = ne.Uint16(b), ne.Uint16(b[2:])
		if b[13]&2 != 0 && b[13]&5 != 0 {
			return false
		}
		fin, syn, rst, ack := b[13]&1 != 0, b[13]&2 != 0, b[13]&4 != 0, b[13]&16 != 0
		p.Seq, p.Ack = be.Uint32(b[4:]), be.Uint32(b[8:])
		p.TCP |= seenSeq | flag(syn)*seenSYN | flag(ack)*seenACK | flag(fin)*seenFIN | flag(rst)*seenRST
		p.SYN = flag(syn && !ack && !rst && !fin)
	case protoUDP:
		if be.Uint16(b[4:]) < 8 {
			return false
		}
		p.Header += 8
		p.Sport, p.Dport = ne.Uint16(b), ne.Uint16(b[2:])
	case protoICMP:
		p.Type, p.Code = b[0], b[1]
		p.Dport = uint16(b[0]) | uint16(b[1])<<8
		if b[0] == 0 || b[0] == 8 || b[0] >= 13 && b[0] <= 18 {
			p.Sport = ne.Uint16(b[4:])
		}
	}
	return true
}

// answered is the ICMP type that answers another, and back.
var answered = map[byte]byte{8: 0, 0: 8, 13: 14, 14: 13, 15: 16, 16: 15, 17: 18, 18: 17}

// quote finds the flow that an ICMP error is about: the key under which its
// sender would answer the quoted packet. Bytes behind the packet's end are no
// part of what it quotes.
func (f frame) quote(p *parsed) {
	at, end := int(p.L4)+8, 14+int(p.Len)
	ip := f.at(at, 20)
	header := int(ip[0]&15) * 4
	if at+20 > end || ip[0]>>4 != 4 || header < 20 || be.Uint16(ip[6:])&0x1fff != 0 || at+header+8 > end {
		return
	}
	if ne.Uint32(ip[12:]) != p.Dest {
		return
	}
	b := f.at(at+header, 8)
	p.Quotes, p.QuotedENI, p.QuotedProto = 1, p.ENI, ip[9]
	p.QuotedSource, p.QuotedDest = ne.Uint32(ip[16:]), ne.Uint32(ip[12:])
	switch ip[9] {
	case protoTCP, protoUDP:
		p.QuotedSport, p.QuotedDport = ne.Uint16(b[2:]), ne.Uint16(b)
	case protoICMP:
		kind, ok := answered[b[0]]
		if !ok {
			kind = b[0]
		}
		p.QuotedSport, p.QuotedDport = ne.Uint16(b[4:]), uint16(kind)|uint16(b[1])<<8
	}
}

package nft

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/google/nftables/userdata"
	"golang.org/x/sys/unix"
)

// register is where each match of a rule puts what it compares.
const register = unix.NFT_REG_1

// rule is one line of a chain and what the kernel is told for it.
type rule struct {
	line     string
	exprs    []expr.Any
	userData []byte // its comment
}

// words are what is left of a line.
type words struct {
	rest []string
	names
	out []expr.Any
}

// compile turns a line into expressions.
func compile(line string, known names) (rule, error) {
	r := rule{line: line}
	body := line
	if before, comment, ok := strings.Cut(line, ` comment "`); ok {
		comment, ok = strings.CutSuffix(comment, `"`)
		if !ok || comment == "" || len(comment) > maxComment || strings.Contains(comment, `"`) {
			return r, fmt.Errorf("comment of %q: at most %d bytes in quotes, at the end", line, maxComment)
		}
		body, r.userData = before, userdata.AppendString(nil, userdata.TypeComment, comment)
	}
	w := &words{rest: strings.Fields(body), names: known}
	for len(w.rest) > 0 {
		if err := w.statement(); err != nil {
			return r, fmt.Errorf("rule %q: %w", line, err)
		}
	}
	r.exprs = w.out
	return r, nil
}

// maxComment is what nft accepts.
const maxComment = 127

// next takes a word; a line that ends too early has empty ones.
func (w *words) next() string {
	if len(w.rest) == 0 {
		return ""
	}
	s := w.rest[0]
	w.rest = w.rest[1:]
	return s
}

func (w *words) add(e ...expr.Any) { w.out = append(w.out, e...) }

// statement reads one match or verdict.
func (w *words) statement() error {
	switch s := w.next(); s {
	case "iifname":
		return w.device(expr.MetaKeyIIFNAME)
	case "oifname":
		return w.device(expr.MetaKeyOIFNAME)
	case "ip":
		return w.ip()
	case "tcp":
		return w.tcpFlags()
	case "icmp":
		return w.icmpType()
	case "jhash":
		return w.sourceHash()
	case "counter":
		return w.counter()
	case "snat":
		return w.snat()
	case "reject":
		return w.reject()
	case "fib":
		return w.fib()
	case "ct":
		return w.conntrack()
	case "accept":
		w.add(&expr.Verdict{Kind: expr.VerdictAccept})
	case "drop":
		w.add(&expr.Verdict{Kind: expr.VerdictDrop})
	case "notrack":
		w.add(&expr.Notrack{})
	case "masquerade":
		return w.masquerade()
	default:
		return fmt.Errorf("%q is not known here", s)
	}
	return nil
}

// device matches a name, all names with a beginning, or a set of names: [!=]
// "NAME", "BEGINNING*" or @SET.
func (w *words) device(key expr.MetaKey) error {
	op, value := expr.CmpOpEq, w.next()
	if value == "!=" {
		op, value = expr.CmpOpNeq, w.next()
	}
	w.add(&expr.Meta{Key: key, Register: register})
	if set, ok := strings.CutPrefix(value, "@"); ok {
		if w.sets[set] != "ifname" {
			return fmt.Errorf("no set %q", set)
		}
		w.add(&expr.Lookup{SourceRegister: register, SetName: set, Invert: op == expr.CmpOpNeq})
		return nil
	}
	name, err := strconv.Unquote(value)
	name, many := strings.CutSuffix(name, "*")
	if err != nil || name == "" || len(name) >= unix.IFNAMSIZ || strings.Contains(name, "*") {
		return fmt.Errorf("device %s: a name of 1 to %d bytes in quotes", value, unix.IFNAMSIZ-1)
	}
	data := ifname(name)
	if many {
		data = data[:len(name)]
	}
	w.add(&expr.Cmp{Op: op, Register: register, Data: data})
	return nil
}

// ifname is a name as the kernel compares it: padded to the full length.
func ifname(name string) []byte {
	b := make([]byte, unix.IFNAMSIZ)
	copy(b, name)
	return b
}

// Offsets in an IPv4 header, in bytes.
const (
	sourceOffset      = 12
	destinationOffset = 16
)

// address matches saddr or daddr against a prefix or a set.
func (w *words) address(field string) error {
	offset := map[string]uint32{"saddr": sourceOffset, "daddr": destinationOffset}[field]
	if offset == 0 {
		return fmt.Errorf("of ip, only saddr, daddr, protocol and frag-off are known here")
	}
	text := w.next()
	if set, ok := strings.CutPrefix(text, "@"); ok {
		return w.addressIn(offset, set)
	}
	p, err := netip.ParsePrefix(text)
	if err != nil || !p.Addr().Is4() || p != p.Masked() || p.IsSingleIP() || p.Bits() == 0 {
		return fmt.Errorf("%q is not an IPv4 prefix of 1 to 31 bits", text)
	}
	// Whole bytes are compared as they are, as nft does it.
	whole := p.Bits()%8 == 0
	size := 4
	if whole {
		size = p.Bits() / 8
	}
	w.add(&expr.Payload{DestRegister: register, Base: expr.PayloadBaseNetworkHeader, Offset: offset, Len: uint32(size)})
	if !whole {
		mask := binary.BigEndian.AppendUint32(nil, ^uint32(0)<<(32-p.Bits()))
		w.add(&expr.Bitwise{SourceRegister: register, DestRegister: register, Len: 4, Mask: mask, Xor: make([]byte, 4)})
	}
	w.add(&expr.Cmp{Op: expr.CmpOpEq, Register: register, Data: p.Addr().AsSlice()[:size]})
	return nil
}

// fib matches what the routing table says of the destination: daddr type [!=] local.
func (w *words) fib() error {
	op, text := expr.CmpOpEq, strings.Join([]string{w.next(), w.next(), w.next()}, " ")
	if text == "daddr type !=" {
		op, text = expr.CmpOpNeq, "daddr type "+w.next()
	}
	if text != "daddr type local" {
		return fmt.Errorf("of fib, only %q is known here", "daddr type local")
	}
	w.add(
		&expr.Fib{Register: register, ResultADDRTYPE: true, FlagDADDR: true},
		&expr.Cmp{Op: op, Register: register, Data: native(unix.RTN_LOCAL)},
	)
	return nil
}

// conntrack matches any of a list of states, or a direction.
func (w *words) conntrack() error {
	switch w.next() {
	case "direction":
		return w.direction()
	case "state":
	default:
		return fmt.Errorf("of ct, only state and direction are known here")
	}
	var bits uint32
	for name := range strings.SplitSeq(w.next(), ",") {
		bit := map[string]uint32{
			"invalid": expr.CtStateBitINVALID, "established": expr.CtStateBitESTABLISHED, "related": expr.CtStateBitRELATED,
			"new": expr.CtStateBitNEW, "untracked": expr.CtStateBitUNTRACKED,
		}[name]
		if bit == 0 {
			return fmt.Errorf("state %q", name)
		}
		bits |= bit
	}
	w.add(
		&expr.Ct{Key: expr.CtKeySTATE, Register: register},
		&expr.Bitwise{SourceRegister: register, DestRegister: register, Len: 4, Mask: native(bits), Xor: make([]byte, 4)},
		&expr.Cmp{Op: expr.CmpOpNeq, Register: register, Data: make([]byte, 4)},
	)
	return nil
}

func native(v uint32) []byte { return binary.NativeEndian.AppendUint32(nil, v) }

// hooks, types and priorities by their words in family ip.
var (
	hooks = map[string]*nftables.ChainHook{
		"prerouting": nftables.ChainHookPrerouting, "input": nftables.ChainHookInput, "forward": nftables.ChainHookForward,
		"output": nftables.ChainHookOutput, "postrouting": nftables.ChainHookPostrouting,
	}
	priorities = map[string]*nftables.ChainPriority{
		"raw": nftables.ChainPriorityRaw, "mangle": nftables.ChainPriorityMangle, "dstnat": nftables.ChainPriorityNATDest,
		"filter": nftables.ChainPriorityFilter, "srcnat": nftables.ChainPriorityNATSource,
		"-450": nftables.ChainPriorityRef(-450), // before fragments are put together
		"200":  nftables.ChainPriorityRef(200),  // after translation
	}
	policies = map[string]nftables.ChainPolicy{"accept": nftables.ChainPolicyAccept, "drop": nftables.ChainPolicyDrop}
)

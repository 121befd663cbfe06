package ipam

import (
	"errors"
	"strconv"
)

// Kind says which rule a value breaks, so that the caller can choose its error
// code without reading text.
type Kind uint8

const (
	// Syntax: not a plain IPv4 CIDR or address (InvalidParameterValue).
	Syntax Kind = iota + 1
	// Family: well-formed IPv6 where only IPv4 is accepted (InvalidParameterValue).
	Family
	// Range: a well-formed CIDR of a size or in a range that cannot be used
	// (InvalidVpc.Range, InvalidSubnet.Range).
	Range
	// Outside: an address that is not in the subnet (InvalidParameterValue).
	Outside
	// ReservedAddress: one of the five addresses no interface may have
	// (InvalidParameterValue).
	ReservedAddress
	// Restricted: an association the strict table forbids (InvalidVpc.Range).
	Restricted
	// Exhausted: no address left (InsufficientFreeAddressesInSubnet).
	Exhausted
	// Unsorted: the caller passed claims out of order, a fault of the program
	// and not of its user (InternalError).
	Unsorted
)

var kindNames = [...]string{
	Syntax:          "syntax",
	Family:          "family",
	Range:           "range",
	Outside:         "outside",
	ReservedAddress: "reserved-address",
	Restricted:      "restricted",
	Exhausted:       "exhausted",
	Unsorted:        "unsorted",
}

// String returns the kind in lower case with dashes, or "kind(n)".
func (k Kind) String() string {
	if k == 0 || int(k) >= len(kindNames) {
		return "kind(" + strconv.Itoa(int(k)) + ")"
	}
	return kindNames[k]
}

// Error is the only error type of this package.
type Error struct {
	Kind   Kind
	Value  string // the refused value as given: not bounded, may hold any byte
	Reason string // what is wrong, without the value; printable
	Hint   string // what to do instead; printable, empty if nothing can be said
}

// ErrExhausted is matched by errors.Is for every error of kind [Exhausted].
var ErrExhausted = errors.New("no free address")

// Error returns `"value": reason; hint` in one printable line.
func (e *Error) Error() string {
	text := quote(e.Value) + ": " + e.Reason
	if e.Hint != "" {
		text += "; " + e.Hint
	}
	return text
}

// Is makes errors.Is(err, ErrExhausted) hold for kind [Exhausted].
func (e *Error) Is(target error) bool {
	return target == ErrExhausted && e.Kind == Exhausted
}

// maxQuoted bounds what a message repeats of its input, in bytes before
// escaping. The longest valid CIDR has 18.
const maxQuoted = 64

// quote escapes control and direction-changing characters: messages end up on
// terminals and in logs, and the input may come from somebody hostile.
func quote(s string) string {
	if len(s) > maxQuoted {
		return strconv.QuoteToASCII(s[:maxQuoted]) + "..."
	}
	return strconv.QuoteToASCII(s)
}

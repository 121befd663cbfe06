package api

import (
	"fmt"
	"net/http"
	"strings"
)

// Error is the answer of an action that did nothing. Code is an EC2 error
// code such as InvalidVpcID.NotFound; clients branch on it and on nothing else.
type Error struct {
	Code    string
	Message string
	// Field is the request member at fault, dotted for nested ones
	// (IpPermissions.0.FromPort), empty when no single one is.
	Field string `json:",omitempty"`
	// BlockedBy are the objects that stand in the way of a deletion.
	BlockedBy []Blocker `json:",omitempty"`
	// Hint is a command or a change that would help, without "Try:".
	Hint string `json:",omitempty"`
}

// Blocker is one object that keeps an action from happening.
type Blocker struct {
	Kind   string // noun of the CLI: subnet, eni, sg, nat …
	Id     string
	Name   string `json:",omitempty"`
	Detail string `json:",omitempty"`
}

// ErrorBody is an Error as the JSON wire carries it.
type ErrorBody struct{ Error *Error }

func (e *Error) Error() string { return e.Code + ": " + e.Message }

// Errorf makes an Error; field may be empty.
func Errorf(code, field, format string, args ...any) *Error {
	return &Error{Code: code, Field: field, Message: fmt.Sprintf(format, args...)}
}

// Exit codes of the CLI that come from an error code.
const (
	ExitOK         = 0
	ExitOther      = 1
	ExitNotFound   = 3
	ExitConflict   = 4
	ExitTimeout    = 5
	ExitPermission = 6
	ExitRefused    = 8
)

// exitCodes are the codes whose meaning their spelling does not tell.
var exitCodes = map[string]int{
	"DryRunOperation": ExitOK,

	"DependencyViolation":               ExitConflict,
	"CannotDelete":                      ExitConflict,
	"IdempotentParameterMismatch":       ExitConflict,
	"InsufficientFreeAddressesInSubnet": ExitConflict,
	"InsufficientAddressCapacity":       ExitConflict,
	"InvalidAddress.Locked":             ExitConflict,
	"PrefixListVersionMismatch":         ExitConflict,
	"PrefixListMaxEntriesExceeded":      ExitConflict,

	"RequestTimeout": ExitTimeout,
	"OutcomeUnknown": ExitTimeout,

	"AuthFailure":           ExitPermission,
	"UnauthorizedOperation": ExitPermission,
	"InvalidClientTokenId":  ExitPermission,
	"SignatureDoesNotMatch": ExitPermission,
	"RequestExpired":        ExitPermission,

	"IncorrectState":        ExitRefused,
	"MissingParameter":      ExitRefused,
	"UnknownParameter":      ExitRefused,
	"UnsupportedOperation":  ExitRefused,
	"OperationNotPermitted": ExitRefused,
	"RouteNotSupported":     ExitRefused,
	"Gateway.NotAttached":   ExitRefused,

	// Throttling is the server's state, not a number of objects.
	"RequestLimitExceeded": ExitOther,
}

// exitSuffixes are tried in order, before the prefix Invalid: an
// InvalidVpcID.NotFound is something missing, not a refused value.
var exitSuffixes = []struct {
	suffix string
	exit   int
}{
	{"NotFound", ExitNotFound},
	{".InUse", ExitConflict},
	{".Duplicate", ExitConflict},
	{".Conflict", ExitConflict},
	{"LimitExceeded", ExitConflict},
	{"AlreadyExists", ExitConflict},
	{"AlreadyAssociated", ExitConflict},
	{"Malformed", ExitRefused},
}

// ExitCode returns the exit code of the CLI for an error code.
func ExitCode(code string) int {
	if exit, ok := exitCodes[code]; ok {
		return exit
	}
	for _, s := range exitSuffixes {
		if strings.HasSuffix(code, s.suffix) {
			return s.exit
		}
	}
	if strings.HasPrefix(code, "Invalid") {
		return ExitRefused
	}
	return ExitOther
}

// Exit returns the exit code of the CLI for the error. EC2 has no code of its own
// for some conflicts, such as a VPC that has a gateway already: a value that is
// refused because of another object is one of them.
func (e *Error) Exit() int {
	if e.Code == "InvalidParameterValue" && len(e.BlockedBy) > 0 {
		return ExitConflict
	}
	return ExitCode(e.Code)
}

// HTTPStatus returns the status an error is sent with on either wire. A fault
// that a retry cannot heal is 4xx, because the SDKs retry 5xx up to 25 times.
func HTTPStatus(code string) int {
	switch code {
	case "AuthFailure":
		return http.StatusUnauthorized
	case "UnauthorizedOperation":
		return http.StatusForbidden
	case "DryRunOperation":
		return http.StatusPreconditionFailed
	case "Unavailable", "RequestLimitExceeded":
		return http.StatusServiceUnavailable
	case "InternalError":
		return http.StatusInternalServerError
	}
	return http.StatusBadRequest
}

// Package api holds the request and the result of every action, one Go struct
// per shape, and the errors an action answers with.
//
// The structs in zz_*.go are generated from two models: model/ec2.json is
// Amazon's EC2 service model pruned to what is served here, model/own.json has
// the actions EC2 lacks in the same format. A field tag `json` carries the
// member's name on the JSON wire, a tag `ec2` what the EC2 Query codec and
// Check need:
//
//	query=N   name in the request's form        xml=N      element in the answer
//	item=N    the model's name for a list item  flat       a list without wrapper
//	required  must be present                   enum=N     one of Enums[N]
//	min=N max=N  bounds of a number
//
// Absent values are nil pointers, nil slices and empty strings.
package api

//go:generate go run ./gen

// The JSON wire: POST PathPrefix+action with the request as body, answered by 200
// and the result, or by HTTPStatus(code) and an ErrorBody.
const (
	PathPrefix = "/v1/"
	// RevisionHeader of an answer is the store's revision after the action, in decimal.
	RevisionHeader = "Vpc-Revision"
	// AccountHeader of a request names the account to act for; optional.
	AccountHeader = "Vpc-Account"
)

// Action describes one action to whatever carries it.
type Action struct {
	Name string
	// Mutates is false for actions that only read.
	Mutates bool
	// Own is true for actions that EC2 does not have.
	Own bool
	// NewRequest and NewResult return a pointer to an empty struct.
	NewRequest func() any
	NewResult  func() any
}

// Ptr returns a pointer to v, for optional fields.
func Ptr[T any](v T) *T { return &v }

// Val returns what p points to, or the zero value when p is nil.
func Val[T any](p *T) T {
	if p == nil {
		var zero T
		return zero
	}
	return *p
}

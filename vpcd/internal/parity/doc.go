// Package parity holds the EC2 wire against what EC2 says of it, from the
// signed form to the record in the store. It has tests only:
//
//   - PARITY.md, a table of every parameter of every action, generated from the
//     model and testdata/status.txt;
//   - bad input, generated for every parameter, with the code that
//     testdata/codes.txt asks for;
//   - the same calls to vpcd and to moto's server, with the differences that
//     testdata/differences.txt allows.
//
// `go test ./vpcd/internal/parity -update` writes PARITY.md.
//
// # What a reviewer should check
//
//   - A row that says enforced names a test that would fail if the parameter
//     did nothing to packets.
//   - A code was taken from EC2's documentation, not from what vpcd answered.
//   - A difference has AWS's own page as its reason.
package parity

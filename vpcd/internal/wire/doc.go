// Package wire carries the actions of a service over connections, in two
// encodings. JSON is spoken on a unix socket: POST /v1/<Action> with the request
// as body, answered by 200 and the result, or by api.HTTPStatus and an
// api.ErrorBody. The Query encoding of EC2 is spoken over TCP, for AWS's own
// tools: a signed form to /, answered in XML. Beside EC2 it answers STS's
// GetCallerIdentity, which those tools ask first.
//
// An encoding brings only what is its own: how a request says which action it
// wants and for whom (a call), and a codec that reads the request and writes
// the result. Everything from there to the handler and back is core.run and is
// the same for all of them.
//
// # Promises
//
//   - A request is read to the letter or refused: unknown members, members
//     given twice, other spellings, null, numbers with a fraction, text after
//     the end. Nothing is ignored that a caller may have meant.
//   - What a caller can make the daemon hold is bounded: connections, header
//     and body in bytes and in time, elements of a request.
//   - A web page cannot call: a wrong Host and any Origin are refused, and what
//     a form can send lacks the content type of one encoding and the signature
//     of the other.
//   - Who calls is what the kernel says of the other end of the socket, or whose
//     secret the request was signed with: on TCP the account comes from the key
//     and from nothing else. Each action that changes something leaves one line
//     in the log.
//   - On TCP callers who have not proven who they are share a small part of the
//     memory and of the log, and their connections and large bodies make room
//     for others'. Those who have share the connections by account.
//   - On TCP nothing is read of a form before its signature holds, and an address
//     beyond this machine is not opened without TLS.
//   - A panic in a handler costs one call, never the daemon.
//   - The socket never has wider permissions than it ends up with, not even
//     for a moment, and a live socket of another process is never taken away.
//
// # What a reviewer should check
//
//   - No answer depends on a part of a request that admit does not look at, and
//     nothing done for a caller on TCP on a part that is not signed.
//   - Text of a caller goes through printable before it is logged or repeated.
//   - Every read and every write of a connection happens under a deadline,
//     except the wait for a handler.
package wire

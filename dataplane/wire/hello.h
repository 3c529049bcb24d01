// HELLO and HELLO_ACK: who I am, and the connection id to call me by; RETRY: say it again, and
// prove that you can be reached. Layout: FORMAT.md.
//
//    HELLO, HELLO_ACK
//    0           2           4           6           8
//    +-----------+-----------+-----------+-----------+
//    | protocol  | path      | max_frame | 0         |
//    +-----------+-----------+-----------+-----------+
//    | node                                          |
//    +-----------------------------------------------+
//    | epoch                                         |
//    +-----------------------------------------------+
//    | peer_epoch                                    |
//    +-----------------------+-----------------------+
//    | connection            | nonce                 |
//    +-----------------------+-----------------------+
//    | cookie                                        |
//    +-----------------------------------------------+
//    | session                                       |
//    +-----------------------------------------------+
//    | offer                                         |
//    +-----------------------------------------------+   64, and in HELLO zeros up to 1176
//    RETRY
//    +-----------------------+-----------------------+
//    | nonce                 | 0                     |
//    +-----------------------+-----------------------+
//    | cookie                                        |
//    +-----------------------------------------------+   16
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

namespace penstock {

inline constexpr uint16_t kProtocol = 7;  // what frames mean; the hop header has its own version
inline constexpr size_t kHelloSize = 64;  // body of HELLO_ACK
inline constexpr size_t kRetrySize = 16;
inline constexpr size_t kHelloFrameSize = 1200;  // of a whole HELLO frame, hop header included

struct Hello {
  uint16_t protocol = kProtocol;
  uint16_t path = 0;        // index of the path between the two nodes
  uint16_t max_frame = 0;   // largest frame I can receive, hop header included
  uint64_t node = 0;        // my node id
  uint64_t epoch = 0;       // of my node: grows at every start
  uint64_t peer_epoch = 0;  // yours as far as I know it, 0 = unknown
  uint32_t connection = 0;  // put this into frames to me
  uint32_t nonce = 0;       // HELLO: a fresh number; HELLO_ACK: that of the HELLO it answers
  uint64_t cookie = 0;      // HELLO: that of the RETRY to this nonce, if there was one; else 0
  uint64_t session = 0;     // whose lanes I hold; 0 = none
  uint64_t offer = 0;       // not 0: names the session that begins if we don't hold the same one,
                            // and if my node id is the lower

  bool operator==(const Hello&) const = default;
};

struct Retry {
  uint32_t nonce = 0;  // of the HELLO that it answers
  uint64_t cookie = 0;

  bool operator==(const Retry&) const = default;
};

// The body of a HELLO (it must have its full padding) or HELLO_ACK frame, or nothing.
std::optional<Hello> parse_hello(std::span<const std::byte> body);
std::optional<Hello> parse_hello_ack(std::span<const std::byte> body);

// Writes the body, padding included, and returns its size; 0 when `out` is too small.
size_t write_hello(const Hello& h, std::span<std::byte> out);
size_t write_hello_ack(const Hello& h, std::span<std::byte> out);

// The body of a RETRY frame, or nothing.
std::optional<Retry> parse_retry(std::span<const std::byte> body);
// Writes to the first kRetrySize bytes of `out`, which has room for them.
void write_retry(const Retry& r, std::span<std::byte> out);

}  // namespace penstock

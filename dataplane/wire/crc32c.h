// CRC32C (Castagnoli), and how a frame is sealed with it. Any core; no state.
//
// The checksum of a frame stands in its hop header, bytes 20..23, and covers all other bytes of the
// frame: the header bytes that the port owns and then the payload that is only referenced.
//
//   [ 0 .. 19 ][ crc: taken as 0 ][ 24 .. rest of the header bytes ] [ payload, maybe elsewhere ]
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace penstock {

// The CRC32C of `bytes`. Give the result of one call to the next to go on over more bytes.
uint32_t crc32c(std::span<const std::byte> bytes, uint32_t before = 0);

// The register begun at 0 and not inverted. So it is linear: that of a whole is the XOR of those of
// its pieces, each shifted by the bytes that lie behind the piece.
uint32_t crc_part(std::span<const std::byte> bytes);
// As if so many zero bytes followed.
uint32_t crc_shift(uint32_t part, uint64_t bytes);

// The CRC32C of a frame. `header` starts with the hop header and has at least its 24 bytes.
uint32_t frame_crc(std::span<const std::byte> header, std::span<const std::byte> payload);

// Stores the checksum in the hop header. Last of all: it covers every other byte.
void seal(std::span<std::byte> header, std::span<const std::byte> payload);

// The same where the payload was read already: its crc_part() and its length.
void seal(std::span<std::byte> header, uint32_t payload_part, uint64_t payload_len);

// Whether the frame is as its sender sealed it. False for one shorter than a hop header.
bool check(std::span<const std::byte> header, std::span<const std::byte> payload);
bool check(std::span<const std::byte> header, uint32_t payload_part, uint64_t payload_len);

}  // namespace penstock

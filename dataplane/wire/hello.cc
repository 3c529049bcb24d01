#include "dataplane/wire/hello.h"

#include <algorithm>
#include <cstring>

#include "dataplane/wire/bytes.h"
#include "dataplane/wire/hop_header.h"

namespace penstock {
namespace {

constexpr size_t kHelloBody = kHelloFrameSize - kHopHeaderSize;

Hello read(const std::byte* p) {
  return {load_le<uint16_t>(p),      load_le<uint16_t>(p + 2),  load_le<uint16_t>(p + 4),
          load_le<uint64_t>(p + 8),  load_le<uint64_t>(p + 16), load_le<uint64_t>(p + 24),
          load_le<uint32_t>(p + 32), load_le<uint32_t>(p + 36), load_le<uint64_t>(p + 40),
          load_le<uint64_t>(p + 48), load_le<uint64_t>(p + 56)};
}

// `size` is that of the whole body: what follows the fields is zero.
bool well_formed(std::span<const std::byte> body, size_t size) {
  if (body.size() != size || load_le<uint16_t>(body.data() + 6) != 0) return false;
  const auto padding = body.subspan(kHelloSize);
  return std::ranges::all_of(padding, [](std::byte b) { return b == std::byte{0}; });
}

size_t write(const Hello& h, std::span<std::byte> out, size_t size) {
  if (out.size() < size) return 0;
  std::byte* p = out.data();
  std::memset(p, 0, size);
  store_le(p, h.protocol);
  store_le(p + 2, h.path);
  store_le(p + 4, h.max_frame);
  store_le(p + 8, h.node);
  store_le(p + 16, h.epoch);
  store_le(p + 24, h.peer_epoch);
  store_le(p + 32, h.connection);
  store_le(p + 36, h.nonce);
  store_le(p + 40, h.cookie);
  store_le(p + 48, h.session);
  store_le(p + 56, h.offer);
  return size;
}

}  // namespace

std::optional<Hello> parse_hello(std::span<const std::byte> body) {
  if (!well_formed(body, kHelloBody)) return std::nullopt;
  return read(body.data());
}

std::optional<Hello> parse_hello_ack(std::span<const std::byte> body) {
  if (!well_formed(body, kHelloSize)) return std::nullopt;
  return read(body.data());
}

std::optional<Retry> parse_retry(std::span<const std::byte> body) {
  if (body.size() != kRetrySize || load_le<uint32_t>(body.data() + 4) != 0) return std::nullopt;
  return Retry{load_le<uint32_t>(body.data()), load_le<uint64_t>(body.data() + 8)};
}

void write_retry(const Retry& r, std::span<std::byte> out) {
  store_le(out.data(), r.nonce);
  store_le(out.data() + 4, uint32_t{0});
  store_le(out.data() + 8, r.cookie);
}

size_t write_hello(const Hello& h, std::span<std::byte> out) {
  return write(h, out, kHelloBody);
}

size_t write_hello_ack(const Hello& h, std::span<std::byte> out) {
  return write(h, out, kHelloSize);
}

}  // namespace penstock

#include "dataplane/net/cookie.h"

#include <algorithm>
#include <cstring>
#include <sodium.h>

namespace penstock {

static_assert(crypto_shorthash_KEYBYTES == sizeof(CookieJar::Secret));
static_assert(crypto_shorthash_BYTES == sizeof(uint64_t));

CookieJar::CookieJar() {
  randombytes_buf(secret_.data(), secret_.size());
}

CookieJar::CookieJar(uint64_t seed) : secret_{} {
  std::memcpy(secret_.data(), &seed, sizeof seed);
}

uint64_t CookieJar::bake_in(const IpAddress& from, uint16_t port, std::span<const std::byte> asked,
                            uint64_t period) const {
  std::array<unsigned char, 128> in{};
  const size_t n = std::min(asked.size(), in.size() - 32);
  std::memcpy(in.data(), from.bytes.data(), 16);
  in[16] = static_cast<unsigned char>(from.family);
  std::memcpy(in.data() + 18, &port, sizeof port);
  std::memcpy(in.data() + 24, &period, sizeof period);
  std::memcpy(in.data() + 32, asked.data(), n);
  uint64_t out = 0;
  crypto_shorthash(reinterpret_cast<unsigned char*>(&out), in.data(), 32 + n, secret_.data());
  return out != 0 ? out : 1;
}

}  // namespace penstock

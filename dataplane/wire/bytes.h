// Little-endian numbers at any address: how every field of a frame is read and written.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>

namespace penstock {

static_assert(std::endian::native == std::endian::little, "add byte swaps for this machine");

template <class T>
inline T load_le(const std::byte* at) {
  static_assert(std::is_integral_v<T>);
  T v;
  std::memcpy(&v, at, sizeof v);
  return v;
}

template <class T>
inline void store_le(std::byte* at, T v) {
  static_assert(std::is_integral_v<T>);
  std::memcpy(at, &v, sizeof v);
}

}  // namespace penstock

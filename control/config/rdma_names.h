// The devices that rdma.device names.
#pragma once

#include <charconv>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace penstock {

inline constexpr size_t kMostRdmaNames = 4;

struct RdmaName {
  std::string device;
  uint8_t port = 1;  // 0: it is none

  bool operator==(const RdmaName&) const = default;
};

// "mlx5_0,mlx5_1:2": each name, in this order, good or not.
inline std::vector<RdmaName> rdma_names(std::string_view list) {
  std::vector<RdmaName> all;
  for (;;) {
    const size_t comma = list.find(',');
    const std::string_view one = list.substr(0, comma);
    const size_t colon = one.find(':');
    RdmaName name{std::string(one.substr(0, colon))};
    if (colon != std::string_view::npos) {
      const char* end = one.data() + one.size();
      const auto [at, e] = std::from_chars(one.data() + colon + 1, end, name.port);
      if (e != std::errc() || at != end) name.port = 0;
    }
    all.push_back(std::move(name));
    if (comma == std::string_view::npos) return all;
    list.remove_prefix(comma + 1);
  }
}

}  // namespace penstock

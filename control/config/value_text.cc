// Values and rows as text: for messages, the example file and `penstock config show`.
#include <algorithm>
#include <fmt/format.h>
#include <type_traits>

#include "control/config/address.h"
#include "control/config/units.h"
#include "control/config/value.h"

namespace penstock {

namespace {

constexpr size_t kLongestQuote = 64;

std::string number(const Option& option, uint64_t value) {
  if (option.kind == Kind::kSize) return quoted(format_size(value));
  if (option.kind == Kind::kDuration) return quoted(format_duration(value));
  if (option.kind == Kind::kOctal) return fmt::format("\"{:04o}\"", value);
  return fmt::format("{}", value);
}

std::string in_file(const std::string& text) {
  if (text.empty()) return "";
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out + '"';
}
std::string in_file(const std::optional<uint16_t>& number) {
  return number ? fmt::format("{}", *number) : "";
}
std::string in_file(const std::vector<uint32_t>& cpus) {
  return cpus.empty() ? "" : quoted(format_cpus(cpus));
}
std::string in_file(const IpPrefix& prefix) {
  return quoted(format(prefix));
}
std::string in_file(const IpAddress& address) {
  return quoted(format(address));
}
std::string in_file(const std::optional<IpAddress>& address) {
  return address ? quoted(format(*address)) : "";
}
std::string in_file(const std::optional<MacAddress>& mac) {
  return mac ? quoted(format(*mac)) : "";
}
std::string in_file(const std::vector<Neighbour>& rows) {
  std::vector<std::string> texts;
  for (const Neighbour& row : rows) {
    texts.push_back(fmt::format("\"{}={}\"", format(row.address), format(row.mac)));
  }
  return texts.empty() ? "" : fmt::format("[{}]", fmt::join(texts, ", "));
}
std::string in_file(const Allowed& allowed) {
  std::vector<std::string> texts;
  for (size_t i = 0; i < std::size(kRights); i++)
    if ((allowed.bits >> i & 1) != 0) texts.push_back(fmt::format("\"{}\"", kRights[i]));
  return fmt::format("[{}]", fmt::join(texts, ", "));
}

std::string bounds(const Option& option) {
  const auto bare = [&](uint64_t value) {
    std::string text = number(option, value);
    std::erase(text, '"');
    return text;
  };
  return fmt::format("{} to {}", bare(option.min), bare(option.max));
}

}  // namespace

std::string written(const Option& option, Slot slot) {
  return std::visit(
      [&](const auto* value) {
        using T = std::remove_cvref_t<decltype(*value)>;
        if constexpr (std::is_integral_v<T>) return number(option, *value);
        if constexpr (std::is_enum_v<T>) {
          return quoted(choices(option)[static_cast<size_t>(*value)]);
        }
        if constexpr (std::is_class_v<T>) return in_file(*value);
      },
      slot);
}

std::string allowed(const Option& option) {
  switch (option.kind) {
    case Kind::kInteger:
      if (option.power_of_two) return fmt::format("a power of two from {}", bounds(option));
      return bounds(option);
    case Kind::kSize:
      return fmt::format("{} like \"4MiB\" from {}",
                         option.power_of_two ? "a power of two" : "a size", bounds(option));
    case Kind::kDuration:
      return fmt::format("a duration like \"25us\" from {}", bounds(option));
    case Kind::kText:
      return fmt::format("a string of {} to {} bytes", option.min, option.max);
    case Kind::kName:
      return fmt::format("{} to {} letters, digits, '_', '.' and '-'", option.min, option.max);
    case Kind::kPath:
      return fmt::format("an absolute path of at most {} bytes", option.max);
    case Kind::kOctal:
      return fmt::format("an octal string from {}", bounds(option));
    case Kind::kChoice:
      return fmt::format("\"{}\"", fmt::join(choices(option), "\", \""));
    case Kind::kChoices:
      return fmt::format("a list of \"{}\"", fmt::join(choices(option), "\", \""));
    case Kind::kCpus:
      return "a CPU list like \"2-5,8\"";
    case Kind::kDevice: {
      std::vector<std::string> kinds;
      for (const DeviceKind& kind : device_kinds()) {
        kinds.push_back(fmt::format("\"{}:{}\"", kind.name, kind.rest));
      }
      return fmt::format("{}", fmt::join(kinds, ", "));
    }
    case Kind::kPrefix:
      return "ADDRESS/BITS like \"10.1.0.1/24\" or \"fd00::1/64\"";
    case Kind::kAddress:
      return "an address like \"10.1.0.1\" or \"fd00::1\"";
    case Kind::kMac:
      return "a MAC address like \"02:00:00:00:00:01\"";
    case Kind::kNeighbours:
      return "a list of \"ADDRESS=MAC\" like [\"10.1.0.2=02:00:00:00:00:02\"]";
  }
  return "";
}

std::string quoted(std::string_view text) {
  std::string out = "\"";
  for (const char c : text.substr(0, kLongestQuote)) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += fmt::format("\\{}", c);
    } else if (byte < 32 || byte == 127) {
      out += fmt::format("\\x{:02x}", byte);
    } else {
      out += c;
    }
  }
  out += text.size() > kLongestQuote ? "...\"" : "\"";
  return out;
}

}  // namespace penstock

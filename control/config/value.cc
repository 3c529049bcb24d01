#include "control/config/value.h"

#include <algorithm>
#include <bit>
#include <charconv>
#include <fmt/format.h>
#include <type_traits>

#include "control/config/address.h"
#include "control/config/nearest.h"
#include "control/config/units.h"

namespace penstock {

namespace {

template <class T>
concept ChoiceEnum = std::is_enum_v<T>;

std::string not_allowed(const Option& option, std::string_view value, std::string_view why = "") {
  // Who writes a password where its file should stand does not find it in the log.
  const bool secret = option.key == "store.password_file" || option.key == "api.tls_key";
  return fmt::format("{} {}; allowed: {}", secret ? "what it says" : value,
                     why.empty() ? "is not allowed" : why, allowed(option));
}

std::string amount(const Option& option, uint64_t value) {
  if (option.kind == Kind::kSize) return format_size(value);
  if (option.kind == Kind::kDuration) return format_duration(value);
  if (option.kind == Kind::kOctal) return fmt::format("{:04o}", value);
  return fmt::format("{}", value);
}

std::string meant(std::string_view near) {
  return near.empty() ? "" : fmt::format("is not allowed (did you mean \"{}\"?)", near);
}

uint64_t nearest_allowed(const Option& option, uint64_t value) {
  const uint64_t inside = std::clamp(value, option.min, option.max);
  if (!option.power_of_two || std::has_single_bit(inside)) return inside;
  const uint64_t below = std::bit_floor(inside);
  return inside - below <= 2 * below - inside ? below : 2 * below;
}

// A number within the row's bounds, as it was written for the message.
std::optional<std::string> assign_number(const Option& option, uint64_t value,
                                         const std::string& as_written, Slot slot) {
  const uint64_t near = nearest_allowed(option, value);
  if (near != value) {
    return fmt::format("{}; nearest: {}", not_allowed(option, as_written), amount(option, near));
  }
  std::visit(
      [&](auto* to) {
        using T = std::remove_pointer_t<decltype(to)>;
        if constexpr (std::is_integral_v<T>) *to = static_cast<T>(value);
        if constexpr (std::is_same_v<T, std::optional<uint16_t>>)
          *to = static_cast<uint16_t>(value);
      },
      slot);
  return std::nullopt;
}

std::optional<std::string> assign_integer(const Option& option, int64_t value, Slot slot) {
  // A negative number is as far below as can be.
  const auto bounded = static_cast<uint64_t>(std::max<int64_t>(value, 0));
  if (value < 0 && option.min == 0) {
    return fmt::format("{}; nearest: 0", not_allowed(option, fmt::format("{}", value)));
  }
  return assign_number(option, bounded, fmt::format("{}", value), slot);
}

std::optional<std::string> assign_choice(const Option& option, const std::string& text, Slot slot) {
  const auto names = choices(option);
  const auto at = std::ranges::find(names, text);
  if (at == names.end()) {
    const std::string_view near = nearest(text, names);
    return not_allowed(option, quoted(text), meant(near));
  }
  std::visit(
      [&](auto* to) {
        using T = std::remove_pointer_t<decltype(to)>;
        if constexpr (ChoiceEnum<T>) *to = static_cast<T>(at - names.begin());
      },
      slot);
  return std::nullopt;
}

bool name_character(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
         c == '.' || c == '-';
}

std::optional<std::string> assign_device(const Option& option, const std::string& text, Slot slot) {
  const size_t colon = text.find(':');
  const std::string kind = text.substr(0, colon);
  std::vector<std::string_view> names;
  for (const DeviceKind& k : device_kinds())
    names.push_back(k.name);
  const auto at = std::ranges::find(names, kind);
  if (at == names.end()) {
    const std::string_view near = nearest(kind, names);
    return not_allowed(option, quoted(text), meant(near));
  }
  const DeviceKind& found = device_kinds()[static_cast<size_t>(at - names.begin())];
  const std::string rest = colon == std::string::npos ? "" : text.substr(colon + 1);
  if (rest.empty() || (found.rest.front() == '/' && rest.front() != '/')) {
    return fmt::format("{} is not allowed; allowed: \"{}:{}\"", quoted(text), found.name,
                       found.rest);
  }
  // The driver puts it between commas into its own arguments.
  if (rest.find_first_of(", \t\"'") != std::string::npos || rest.size() > 107) {
    return fmt::format(
        "{} is not allowed; allowed after \"{}:\": at most 107 bytes without spaces, "
        "commas and quotes",
        quoted(text), found.name);
  }
  *std::get<std::string*>(slot) = text;
  return std::nullopt;
}

std::optional<std::string> assign_string(const Option& option, const std::string& text, Slot slot) {
  const bool printable = std::ranges::all_of(
      text, [](char c) { return static_cast<unsigned char>(c) >= 32 && c != 127; });
  const bool named = option.kind != Kind::kName || std::ranges::all_of(text, name_character);
  const bool rooted = option.kind != Kind::kPath || text.starts_with('/');
  if (!printable || !named || !rooted) return not_allowed(option, quoted(text));
  if (text.size() < option.min || text.size() > option.max) {
    return not_allowed(option, quoted(text), fmt::format("has {} bytes", text.size()));
  }
  *std::get<std::string*>(slot) = text;
  return std::nullopt;
}

// Stores what parsed into the slot, or says why it did not.
template <class To, class T>
std::optional<std::string> store(const Option& option, const std::string& text, Parsed<T> parsed,
                                 Slot slot) {
  if (!parsed) return not_allowed(option, quoted(text), parsed.error());
  *std::get<To*>(slot) = *std::move(parsed);
  return std::nullopt;
}

std::optional<std::string> assign_amount(const Option& option, const std::string& text,
                                         const Parsed<uint64_t>& parsed, Slot slot) {
  if (!parsed) return not_allowed(option, quoted(text), parsed.error());
  return assign_number(option, *parsed, quoted(text), slot);
}

Parsed<uint64_t> parse_octal(std::string_view text) {
  uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, 8);
  if (error != std::errc() || end != text.data() + text.size()) {
    return tl::unexpected(std::string("is not octal"));
  }
  return value;
}

std::optional<std::string> assign_text(const Option& option, const std::string& text, Slot slot) {
  switch (option.kind) {
    case Kind::kSize:
      return assign_amount(option, text, parse_size(text), slot);
    case Kind::kDuration:
      return assign_amount(option, text, parse_duration(text), slot);
    case Kind::kOctal:
      return assign_amount(option, text, parse_octal(text), slot);
    case Kind::kChoice:
      return assign_choice(option, text, slot);
    case Kind::kCpus:
      return store<std::vector<uint32_t>>(option, text, parse_cpus(text), slot);
    case Kind::kDevice:
      return assign_device(option, text, slot);
    case Kind::kPrefix:
      return store<IpPrefix>(option, text, parse_prefix(text), slot);
    case Kind::kAddress:
      if (std::holds_alternative<IpAddress*>(slot)) {
        return store<IpAddress>(option, text, parse_host(text), slot);
      }
      return store<std::optional<IpAddress>>(option, text, parse_host(text), slot);
    case Kind::kMac:
      return store<std::optional<MacAddress>>(option, text, parse_host_mac(text), slot);
    case Kind::kText:
    case Kind::kName:
    case Kind::kPath:
      return assign_string(option, text, slot);
    case Kind::kInteger:
    case Kind::kChoices:
    case Kind::kNeighbours:
      break;
  }
  return not_allowed(option, quoted(text), "is a string");
}

// Bit i for the row's choice i.
std::optional<std::string> assign_choices(const Option& option,
                                          const std::vector<std::string>& list, Slot slot) {
  const auto names = choices(option);
  Allowed allowed;
  for (const std::string& text : list) {
    const auto at = std::ranges::find(names, text);
    if (at == names.end()) return not_allowed(option, quoted(text), meant(nearest(text, names)));
    allowed.bits |= 1u << static_cast<uint32_t>(at - names.begin());
  }
  *std::get<Allowed*>(slot) = allowed;
  return std::nullopt;
}

std::optional<std::string> assign_list(const Option& option, const std::vector<std::string>& list,
                                       Slot slot) {
  if (option.kind == Kind::kChoices) return assign_choices(option, list, slot);
  if (option.kind != Kind::kNeighbours) return not_allowed(option, "a list");
  std::vector<Neighbour> rows;
  for (const std::string& text : list) {
    const auto row = parse_neighbour(text);
    if (!row) return not_allowed(option, quoted(text), row.error());
    rows.push_back(*row);
  }
  *std::get<std::vector<Neighbour>*>(slot) = rows;
  return std::nullopt;
}

}  // namespace

std::vector<std::string_view> choices(const Option& option) {
  std::vector<std::string_view> names;
  std::string_view rest = option.choices;
  while (!rest.empty()) {
    const size_t bar = std::min(rest.find('|'), rest.size());
    names.push_back(rest.substr(0, bar));
    rest.remove_prefix(std::min(bar + 1, rest.size()));
  }
  return names;
}

std::optional<std::string> assign(const Option& option, const Literal& literal, Slot slot) {
  if (const auto* other = std::get_if<Other>(&literal)) return not_allowed(option, other->what);
  if (const auto* list = std::get_if<std::vector<std::string>>(&literal)) {
    return assign_list(option, *list, slot);
  }
  if (const auto* text = std::get_if<std::string>(&literal))
    return assign_text(option, *text, slot);
  const int64_t number = std::get<int64_t>(literal);
  if (option.kind == Kind::kInteger || option.kind == Kind::kSize) {
    return assign_integer(option, number, slot);
  }
  if (option.kind == Kind::kDuration) {
    return not_allowed(option, fmt::format("{}", number), "has no unit (ns, us, ms, s, min, h)");
  }
  return not_allowed(option, fmt::format("{}", number), "is a number");
}

void assign_default(const Option& option, Slot slot) {
  if (option.fallback.empty()) return;
  Literal literal = std::string(option.fallback);
  if (option.kind == Kind::kInteger) {
    int64_t number = 0;
    std::from_chars(option.fallback.data(), option.fallback.data() + option.fallback.size(),
                    number);
    literal = number;
  }
  assign(option, literal, slot);
}

}  // namespace penstock

#include "drivers/dpdk/port_spec.h"

#include <algorithm>
#include <charconv>
#include <optional>

#include "drivers/dpdk/buffers.h"

namespace penstock {
namespace {

enum class Target : uint8_t { kName, kPath, kInterface, kPciAddress };

struct KindRow {
  PortKind kind;
  const char* word;
  Target target;
  const char* example;
  const char* driver;  // what the name of DPDK's virtual device begins with
  uint32_t default_mtu;
  uint32_t max_mtu;
  uint16_t max_queues;  // DPDK's own limits of the driver, or of its peer
};

// af_xdp: one page holds a frame, DPDK's words and both headrooms (3442 is what remains).
// tap: the driver knows no larger frames.
constexpr KindRow kKinds[] = {
    {PortKind::kRing, "ring", Target::kName, "ring:NAME", "net_ring_", 9000, 9600, 16},
    {PortKind::kVhost, "vhost", Target::kPath, "vhost:/PATH", "net_vhost", 9000, 9600, 8},
    {PortKind::kVirtioUser, "virtio-user", Target::kPath, "virtio-user:/PATH", "net_virtio_user",
     9000, 9600, 8},
    {PortKind::kMemifServer, "memif-server", Target::kPath, "memif-server:/PATH", "net_memif", 1500,
     9600, 16},
    {PortKind::kMemifClient, "memif-client", Target::kPath, "memif-client:/PATH", "net_memif", 1500,
     9600, 16},
    {PortKind::kAfPacket, "af_packet", Target::kInterface, "af_packet:IFACE", "net_af_packet", 1500,
     9600, 16},
    {PortKind::kAfXdp, "af_xdp", Target::kInterface, "af_xdp:IFACE", "net_af_xdp", 1500, 3442, 32},
    {PortKind::kTap, "tap", Target::kInterface, "tap:IFACE", "net_tap", 1500, 1500, 16},
    {PortKind::kPci, "pci", Target::kPciAddress, "pci:0000:3b:00.0", "", 1500, 9600, 32},
};

constexpr uint32_t kMinMtu = 576;
constexpr size_t kMaxPath = 107;      // sockaddr_un
constexpr size_t kMaxInterface = 15;  // IFNAMSIZ
constexpr size_t kMaxRingName = 16;

const KindRow& row(PortKind kind) {
  return *std::find_if(std::begin(kKinds), std::end(kKinds),
                       [kind](const KindRow& r) { return r.kind == kind; });
}

// As it may stand in a message: what a terminal could misread becomes '?'.
std::string quoted(std::string_view word) {
  std::string out = "\"";
  for (const char c : word.substr(0, 200)) {
    out += (c >= ' ' && c <= '~') ? c : '?';
  }
  return out + "\"";
}

std::string all_kinds() {
  std::string out;
  for (const KindRow& r : kKinds) {
    out += out.empty() ? r.example : std::string(", ") + r.example;
  }
  return out;
}

bool all_in(std::string_view word, std::string_view also) {
  return std::all_of(word.begin(), word.end(), [also](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           also.find(c) != std::string_view::npos;
  });
}

bool is_hex(std::string_view word, size_t digits) {
  return word.size() == digits && std::all_of(word.begin(), word.end(), [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
         });
}

// "0000:3b:00.0" or "3b:00.0"; always the long form out.
std::optional<std::string> pci_address(std::string_view word) {
  std::string full = word.size() == 7 ? "0000:" + std::string(word) : std::string(word);
  const std::string_view f = full;
  if (f.size() != 12 || !is_hex(f.substr(0, 4), 4) || f[4] != ':' || !is_hex(f.substr(5, 2), 2) ||
      f[7] != ':' || !is_hex(f.substr(8, 2), 2) || f[10] != '.' || f[11] < '0' || f[11] > '7') {
    return std::nullopt;
  }
  for (char& c : full) {
    if (c >= 'A' && c <= 'F') c = static_cast<char>(c - 'A' + 'a');
  }
  return full;
}

// What is wrong with a target, or nothing. A comma or a bracket would change the meaning of the
// device's arguments, so they are not possible in a path.
const char* fault(Target target, std::string_view word) {
  switch (target) {
    case Target::kName:
      if (word.empty() || word.size() > kMaxRingName || !all_in(word, "_-")) {
        return "a ring's name is 1 to 16 letters, digits, '_' or '-'";
      }
      return nullptr;
    case Target::kPath:
      if (word.empty() || word[0] != '/') return "a socket's path begins with '/'";
      if (word.size() > kMaxPath) return "a socket's path has at most 107 bytes";
      if (!all_in(word, "/._-+@:~%")) {
        return "a socket's path is made of letters, digits and any of / . _ - + @ : ~ %";
      }
      return nullptr;
    case Target::kInterface:
      if (word.empty() || word.size() > kMaxInterface || !all_in(word, "_-.@") || word == "." ||
          word == "..") {
        return "an interface's name is 1 to 15 letters, digits, '_', '-', '.' or '@'";
      }
      return nullptr;
    case Target::kPciAddress:
      if (!pci_address(word)) return "a PCI address looks like 0000:3b:00.0";
      return nullptr;
  }
  return nullptr;
}

std::optional<uint32_t> number(std::string_view word) {
  uint32_t value = 0;
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), value);
  if (error != std::errc{} || end != word.data() + word.size()) return std::nullopt;
  return value;
}

// Takes one "key=value"; what is wrong with it, or an empty string.
std::string take_option(std::string_view option, PortSpec& spec) {
  const size_t equals = option.find('=');
  const std::string_view key = option.substr(0, equals);
  if (key != "mtu" && key != "queues") {
    return "unknown option " + quoted(key) + "; possible: mtu=BYTES, queues=N";
  }
  const auto value = number(equals == option.npos ? "" : option.substr(equals + 1));
  if (!value) return quoted(option) + ": a number must follow " + std::string(key) + "=";
  if (key == "mtu") {
    spec.mtu = *value;
  } else {
    spec.queues = static_cast<uint16_t>(std::min(*value, uint32_t{UINT16_MAX}));
  }
  return "";
}

}  // namespace

OrSentence<PortSpec> parse_port(std::string_view text, uint32_t mtu, uint16_t queues) {
  const auto wrong = [text](const std::string& why) {
    return sentence("port " + quoted(text) + ": " + why);
  };
  std::string_view rest = text;
  std::string_view word = rest.substr(0, rest.find_first_of(":,"));
  const auto* kind = std::find_if(std::begin(kKinds), std::end(kKinds),
                                  [word](const KindRow& r) { return word == r.word; });
  if (kind == std::end(kKinds)) {
    return wrong("unknown kind " + quoted(word) + "; possible: " + all_kinds());
  }
  rest.remove_prefix(word.size());
  if (rest.empty() || rest[0] != ':') {
    return wrong(std::string("nothing after the kind; it looks like ") + kind->example);
  }
  rest.remove_prefix(1);
  const std::string_view target = rest.substr(0, rest.find(','));
  if (const char* why = fault(kind->target, target)) return wrong(quoted(target) + ": " + why);

  PortSpec spec{.kind = kind->kind, .target = std::string(target), .mtu = mtu, .queues = queues};
  if (kind->target == Target::kPciAddress) spec.target = *pci_address(target);
  rest.remove_prefix(target.size());
  while (!rest.empty()) {
    rest.remove_prefix(1);  // the comma
    const std::string_view option = rest.substr(0, rest.find(','));
    if (const std::string why = take_option(option, spec); !why.empty()) return wrong(why);
    rest.remove_prefix(option.size());
  }

  if (spec.mtu == 0) spec.mtu = kind->default_mtu;
  if (spec.mtu < kMinMtu || spec.mtu > kind->max_mtu) {
    return wrong("mtu " + std::to_string(spec.mtu) + " is not possible; " + kind->word + " takes " +
                 std::to_string(kMinMtu) + " to " + std::to_string(kind->max_mtu));
  }
  if (spec.queues == 0 || spec.queues > kind->max_queues) {
    return wrong("queues " + std::to_string(spec.queues) + " is not possible; " + kind->word +
                 " takes 1 to " + std::to_string(kind->max_queues));
  }
  return spec;
}

// A NIC is told of the lanes' memory, so that it reads payloads where they lie. virtio-user shows
// its peer all memory that DPDK knows and fails on what is not DPDK's own: its link comes up and
// carries nothing.
std::optional<std::string> cannot_share(std::span<const PortSpec> ports) {
  const auto first = [&](PortKind kind) {
    return std::find_if(ports.begin(), ports.end(),
                        [kind](const PortSpec& p) { return p.kind == kind; });
  };
  const auto nic = first(PortKind::kPci);
  const auto virtio = first(PortKind::kVirtioUser);
  if (nic == ports.end() || virtio == ports.end()) return std::nullopt;
  return "ports " + text(*nic) + " and " + text(*virtio) +
         " cannot be in one node: the NIC needs memory that virtio-user cannot show to its peer; "
         "use vhost (with virtio-user at the other end) or memif instead of virtio-user, or run "
         "a second node for one of the two";
}

const char* text(PortKind kind) {
  return row(kind).word;
}

std::string text(const PortSpec& spec) {
  return std::string(text(spec.kind)) + ":" + spec.target;
}

std::string device_name(const PortSpec& spec, unsigned index) {
  if (spec.kind == PortKind::kPci) return spec.target;
  return row(spec.kind).driver + std::to_string(index);
}

std::string device_arguments(const PortSpec& spec, const std::string& mac) {
  const std::string queues = std::to_string(spec.queues);
  switch (spec.kind) {
    case PortKind::kVhost:
      return "iface=" + spec.target + ",queues=" + queues + ",client=1";
    case PortKind::kVirtioUser:
      return "path=" + spec.target + ",queues=" + queues +
             ",queue_size=" + std::to_string(descriptors(spec.kind)) + ",server=1,mac=" + mac;
    case PortKind::kMemifServer:
    case PortKind::kMemifClient: {
      // A frame must fit one buffer: 22.11 corrupts chains under back-pressure.
      const uint32_t buffer = std::max(uint32_t{2048}, (spec.max_frame() + 63) / 64 * 64);
      return std::string("role=") + (spec.kind == PortKind::kMemifServer ? "server" : "client") +
             ",socket=" + spec.target +
             ",socket-abstract=no,rsize=8,bsize=" + std::to_string(buffer) + ",mac=" + mac;
    }
    case PortKind::kAfPacket: {
      const uint32_t slot = packet_slot(spec);
      return "iface=" + spec.target + ",qpairs=" + queues +
             ",blocksz=" + std::to_string(std::max(slot, uint32_t{4096})) +
             ",framesz=" + std::to_string(slot) + ",framecnt=512";
    }
    case PortKind::kAfXdp:
      return "iface=" + spec.target + ",start_queue=0,queue_count=" + queues;
    case PortKind::kTap:
      return "iface=" + spec.target;
    case PortKind::kRing:
    case PortKind::kPci:
      return "";
  }
  return "";
}

}  // namespace penstock

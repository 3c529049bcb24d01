#include "control/config/load.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fmt/format.h>
#include <fstream>
#include <sstream>
#include <toml++/toml.h>

#include "control/config/checks.h"
#include "control/config/nearest.h"
#include "control/config/options.h"
#include "control/config/value.h"

namespace penstock {

namespace {

// A dotted key nests as deep as its line is long, and toml++ takes a stack frame for each level.
constexpr size_t kMaxLineBytes = 4096;
constexpr size_t kMaxDots = 10'000;  // and brackets: each may be a table in a table

Literal literal_of(const toml::node& node) {
  if (const auto* number = node.as_integer()) return number->get();
  if (const auto* text = node.as_string()) return text->get();
  if (const auto* array = node.as_array()) {
    std::vector<std::string> list;
    for (const toml::node& element : *array) {
      if (!element.is_string()) return Other{"a list that holds something else than strings"};
      list.push_back(element.as_string()->get());
    }
    return list;
  }
  if (node.is_boolean()) return Other{"a boolean"};
  if (node.is_floating_point()) return Other{"a number with a fraction"};
  if (node.is_table()) return Other{"a table"};
  return Other{"a date or time"};
}

uint32_t line_of(const toml::source_region& source) {
  return source.begin.line;
}

// Walks a parsed file, table by table; what it does not know is a diagnostic.
class Loader {
 public:
  explicit Loader(const std::string& file) : file_(file) {}

  Loaded run(const toml::table& root) {
    for (const Option& option : options()) {
      if (config_has(option)) assign_default(option, option.slot({&config_}));
    }
    for (const auto& [key, node] : root)
      read_root(key, node);
    for (const Section& section : sections()) {
      if (!section.many) require_all(section.name, std::string(section.name));
    }
    if (bad_.empty()) complete_and_check(config_, lines_, file_, bad_);
    if (bad_.empty()) return std::move(config_);
    std::ranges::stable_sort(bad_, {}, &Diagnostic::line);
    return tl::unexpected(std::move(bad_));
  }

 private:
  static bool config_has(const Option& option) {
    const auto section = std::ranges::find(sections(), option.table(), &Section::name);
    return !section->many;
  }

  void complain(uint32_t line, std::string key, std::string message) {
    bad_.push_back({file_, line, std::move(key), std::move(message)});
  }

  void read_root(const toml::key& key, const toml::node& node) {
    const auto section = std::ranges::find(sections(), key.str(), &Section::name);
    const uint32_t line = line_of(key.source());
    if (section == sections().end()) return unknown_table(key.str(), line);
    const std::string name(section->name);
    if (!section->many) {
      const toml::table* table = node.as_table();
      if (table == nullptr) return complain(line, name, fmt::format("must be a table: [{}]", name));
      lines_[name] = line;
      return read_table(*table, name, name, {&config_});
    }
    const toml::array* tables = node.as_array();
    if (tables == nullptr || !std::ranges::all_of(*tables, &toml::node::is_table)) {
      return complain(line, name, fmt::format("must be a list of tables: [[{}]]", name));
    }
    for (const toml::node& element : *tables)
      read_element(*element.as_table(), name);
  }

  // One [[port]], [[peer]] or [[rule]].
  void read_element(const toml::table& table, const std::string& name) {
    Target target{&config_};
    size_t index = 0;
    if (name == "port") {
      index = config_.ports.size();
      target.port = &config_.ports.emplace_back();
    } else if (name == "peer") {
      index = config_.peers.size();
      target.peer = &config_.peers.emplace_back();
    } else {
      index = config_.rules.size();
      target.rule = &config_.rules.emplace_back();
    }
    for (const Option& option : options()) {
      if (option.table() == name) assign_default(option, option.slot(target));
    }
    const std::string place = fmt::format("{}.{}", name, index);
    lines_[place] = line_of(table.source());
    read_table(table, name, place, target);
    require_all(name, place);
  }

  void read_table(const toml::table& table, std::string_view name, const std::string& place,
                  Target target) {
    for (const auto& [key, node] : table) {
      const std::string full = fmt::format("{}.{}", name, key.str());
      const auto option = std::ranges::find(options(), full, &Option::key);
      const uint32_t line = line_of(key.source());
      if (option == options().end()) {
        unknown_key(name, key.str(), line);
        continue;
      }
      lines_[fmt::format("{}.{}", place, key.str())] = line;
      if (const auto wrong = assign(*option, literal_of(node), option->slot(target))) {
        complain(line_of(node.source()), full, *wrong);
      }
    }
  }

  void require_all(std::string_view name, const std::string& place) {
    for (const Option& option : options()) {
      if (option.table() != name || !option.required) continue;
      if (lines_.contains(fmt::format("{}.{}", place, option.name()))) continue;
      const auto at = lines_.find(place);
      complain(at == lines_.end() ? 0 : at->second, std::string(option.key),
               fmt::format("is missing; allowed: {}", allowed(option)));
    }
  }

  void unknown_table(std::string_view name, uint32_t line) {
    std::vector<std::string_view> names;
    for (const Section& section : sections())
      names.push_back(section.name);
    const std::string_view near = nearest(name, names);
    complain(line, std::string(name),
             fmt::format("unknown table{}; allowed: {}",
                         near.empty() ? "" : fmt::format(" (did you mean {}?)", near),
                         fmt::join(names, ", ")));
  }

  void unknown_key(std::string_view table, std::string_view name, uint32_t line) {
    std::vector<std::string_view> here;
    std::string_view near;
    for (const Option& option : options()) {
      if (option.table() == table) here.push_back(option.name());
      if (option.name() == name) near = option.key;  // right name, wrong table
    }
    const std::string_view close = nearest(name, here);
    const std::string meant =
        close.empty() ? std::string(near) : fmt::format("{}.{}", table, close);
    complain(line, fmt::format("{}.{}", table, name),
             fmt::format("unknown key{}; allowed in {}: {}",
                         meant.empty() ? "" : fmt::format(" (did you mean {}?)", meant), table,
                         fmt::join(here, ", ")));
  }

  const std::string& file_;
  Config config_;
  Lines lines_;
  std::vector<Diagnostic> bad_;
};

// Counted from 1; 0: none is too long.
uint32_t first_long_line(std::string_view toml) {
  for (uint32_t line = 1; !toml.empty(); line++) {
    const size_t end = std::min(toml.find('\n'), toml.size());
    if (end > kMaxLineBytes) return line;
    toml.remove_prefix(std::min(end + 1, toml.size()));
  }
  return 0;
}

Loaded failed(const std::string& file, uint32_t line, std::string message) {
  return tl::unexpected(std::vector<Diagnostic>{{file, line, "", std::move(message)}});
}

}  // namespace

std::string text(const Diagnostic& diagnostic) {
  std::string out = diagnostic.file;
  if (diagnostic.line != 0) out += fmt::format(":{}", diagnostic.line);
  if (!diagnostic.key.empty()) out += ": " + diagnostic.key;
  return out + ": " + diagnostic.message;
}

Loaded parse(std::string_view toml, const std::string& file) {
  if (toml.size() > kMaxConfigBytes) return failed(file, 0, "is larger than 1 MiB");
  if (const uint32_t line = first_long_line(toml); line != 0) {
    return failed(file, line, fmt::format("is a line of more than {} bytes", kMaxLineBytes));
  }
  const auto deepens = [](char c) { return c == '.' || c == '[' || c == '{'; };
  if (static_cast<size_t>(std::ranges::count_if(toml, deepens)) > kMaxDots)
    return failed(file, 0, fmt::format("has more than {} dots and brackets", kMaxDots));
  try {
    const toml::table root = toml::parse(toml);
    return Loader(file).run(root);
  } catch (const toml::parse_error& error) {
    return failed(file, line_of(error.source()), std::string(error.description()));
  }
}

Loaded load(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  std::ostringstream content;
  // Where there is nothing << calls that a failure.
  const bool some = in && in.peek() != std::ifstream::traits_type::eof();
  if (!in.is_open() || in.bad() || (some && !(content << in.rdbuf()))) {
    const std::error_code why(errno, std::generic_category());
    return failed(path.string(), 0, fmt::format("cannot be read: {}", why.message()));
  }
  return parse(content.str(), path.string());
}

}  // namespace penstock

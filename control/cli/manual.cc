#include "control/cli/manual.h"

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "control/config/daemon_arguments.h"
#include "control/config/docs.h"
#include "control/config/options.h"
#include "control/config/value.h"

namespace penstock::cli {

namespace {

// Text as roff takes it: no line of it is a request, no character of it a command.
std::string roff(std::string_view text) {
  std::string out;
  bool line_start = true;
  for (const char c : text) {
    if (line_start && (c == '.' || c == '\'')) out += "\\&";
    if (c == '\\') {
      out += "\\e";
    } else if (c == '-') {
      out += "\\-";
    } else if (c == '\'') {
      out += "\\(aq";
    } else if (c == '^') {
      out += "\\(ha";
    } else if (c == '`') {
      out += "\\(ga";
    } else if (c == '~') {
      out += "\\(ti";
    } else {
      out += c;
    }
    line_start = c == '\n';
  }
  return out;
}

std::string head(const std::string& name, const std::string& section, const std::string& what) {
  return fmt::format(".TH {} {} \"\" \"Penstock {}\" \"Penstock\"\n.SH NAME\n{} \\- {}\n", name,
                     section, PROGRAM_VERSION, roff(name), roff(what));
}

// As it stands, line by line.
std::string verbatim(std::string_view text) {
  while (text.ends_with('\n'))
    text.remove_suffix(1);
  return ".nf\n" + roff(text) + "\n.fi\n";
}

// "-t, --topic TOPIC" and the text.
std::string option_text(const CLI::Option& option) {
  std::string names;
  for (const std::string& n : option.get_snames())
    names += (names.empty() ? "-" : ", -") + n;
  for (const std::string& n : option.get_lnames())
    names += (names.empty() ? "--" : ", --") + n;
  const bool positional = names.empty();
  if (positional) names = option.get_name(true);
  std::string type = option.get_type_name();
  if (option.get_expected_max() == 0) type.clear();  // a flag
  return fmt::format(
      ".TP\n\\fB{}\\fR{}\n{}\n", roff(names),
      type.empty() || positional ? "" : " \\fI" + roff(type.substr(0, type.find(':'))) + "\\fR",
      roff(option.get_description()));
}

// Every command has --help: it is said once.
std::string options_text(const CLI::App& app) {
  std::string out;
  for (const CLI::Option* o : app.get_options())
    if (app.get_parent() == nullptr || o != app.get_help_ptr()) out += option_text(*o);
  return out;
}

// Every command that does something, with its options.
std::string commands_text(const CLI::App& app, const std::string& before) {
  std::string out;
  for (const CLI::App* sub : app.get_subcommands([](const CLI::App*) { return true; })) {
    const std::string name = before + sub->get_name();
    if (sub->get_subcommands([](const CLI::App*) { return true; }).empty()) {
      std::string usage = name;
      for (const CLI::Option* o : sub->get_options())
        if (o->get_positional()) {
          const std::string names = o->get_name(true, true);  // "topic,-t,--topic"
          usage += " " + names.substr(0, names.find(','));
        }
      out += fmt::format(".SS {}\n{}\n{}", roff(usage), roff(sub->get_description()),
                         options_text(*sub));
    }
    out += commands_text(*sub, name + " ");
  }
  return out;
}

}  // namespace

std::string manual_penstock(const CLI::App& app) {
  return head("penstock", "1", "talk to the messaging node of this host") +
         ".SH SYNOPSIS\n.B penstock\n[\\fIoptions\\fR] \\fIcommand\\fR [\\fIarguments\\fR]\n"
         ".SH DESCRIPTION\n" +
         roff(app.get_description()) + "\n.SH OPTIONS\n" + options_text(app) + ".SH COMMANDS\n" +
         commands_text(app, "") + ".SH EXAMPLES AND EXIT STATUS\n" + verbatim(app.get_footer()) +
         ".SH SEE ALSO\n.BR penstockd (8),\n.BR penstock.toml (5)\n";
}

std::string manual_penstockd() {
  CLI::App app(kDaemonText, "penstockd");
  DaemonArguments arguments;
  declare(app, arguments);
  return head("penstockd", "8", "messaging node of this host") +
         ".SH SYNOPSIS\n.B penstockd\n[\\fIoptions\\fR]\n.SH DESCRIPTION\n" + roff(kDaemonText) +
         "\n.PP\nSIGTERM has it deliver what is published, for node.drain at most, and stop; a "
         "second "
         "one,\nor SIGINT, stops it at once. SIGHUP has it read its config again. Under systemd "
         "it\nsays when it is ready and feeds the watchdog while all its workers make "
         "turns.\n.SH OPTIONS\n" +
         options_text(app) + ".SH EXIT STATUS\n" + roff(kDaemonExitText) +
         "\n.SH FILES\n.TP\n/etc/penstock/penstock.toml\nthe config\n.TP\n"
         "/run/penstock/penstock.sock\nwhere programs attach\n.TP\n/var/lib/penstock\nthe "
         "node\\(aqs "
         "epoch and the last good state of the store\n.TP\n/etc/default/penstock\nhuge pages and "
         "NICs that penstock\\-setup.service prepares\n"
         ".SH SEE ALSO\n.BR penstock (1),\n.BR penstock.toml (5)\n";
}

std::string manual_config() {
  std::string out =
      head("penstock.toml", "5", "config of penstockd") +
      ".SH DESCRIPTION\nA TOML file. An unknown key or a value that is not allowed is an error, "
      "and "
      "nothing starts;\n.B penstock config check\nsays all that is wrong with a file,\n.B penstock "
      "config example\nprints one with every option.\nAn option takes effect after a restart, if "
      "it does not say that SIGHUP is enough.\n";
  for (const Section& section : sections()) {
    out += fmt::format(".SH {}\n{}\n",
                       roff(section.many ? fmt::format("[[{}]]", section.name)
                                         : fmt::format("[{}]", section.name)),
                       roff(section.text));
    for (const Option& option : options()) {
      if (option.table() != section.name) continue;
      out += fmt::format(".TP\n.B {}\n{}\nAllowed: {}.\n", roff(option.name()), roff(option.text),
                         roff(allowed(option)));
      if (option.required) out += "It must be given.\n";
      if (!option.fallback.empty()) out += fmt::format("Default: {}.\n", roff(option.fallback));
      if (option.applies == Applies::kLive) out += "SIGHUP is enough.\n";
    }
  }
  return out + ".SH SEE ALSO\n.BR penstock (1),\n.BR penstockd (8)\n";
}

}  // namespace penstock::cli

#include "control/cli/completion.h"

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <vector>

namespace penstock::cli {

namespace {

// Something that may stand next, and the line about it.
struct Word {
  std::string word;
  std::string text;
};

// A command, "penstock config check", and what may stand behind it.
struct Place {
  std::string command;
  std::vector<Word> words;
};

// The fixed values of an option, from "TEXT:{lanes,links}" or "value in {block->0,conflate->3} OR
// {0,3}".
std::vector<std::string> values(const CLI::Option& option) {
  const std::string type = option.get_type_name();
  const size_t open = type.find('{');
  const size_t close = type.find('}', open);
  std::vector<std::string> all;
  if (open == std::string::npos || close == std::string::npos) return all;
  for (const std::string& value : CLI::detail::split(type.substr(open + 1, close - open - 1), ','))
    all.push_back(value.substr(0, value.find("->")));
  return all;
}

void visit(const CLI::App& app, const std::string& command, const std::vector<Word>& outer,
           std::vector<Place>& out) {
  std::vector<Word> own;
  std::vector<Word> options = outer;
  std::vector<Place> behind;  // an option with fixed values: a place of its own
  for (const CLI::Option* o : app.get_options()) {
    std::vector<Word> fixed;
    for (const std::string& value : values(*o))
      fixed.push_back({value, o->get_description()});
    for (const std::string& name : o->get_lnames()) {
      options.push_back({"--" + name, o->get_description()});
      if (!fixed.empty()) behind.push_back({command + " --" + name, fixed});
    }
    if (o->get_positional()) own.insert(own.end(), fixed.begin(), fixed.end());
  }
  for (const CLI::App* sub : app.get_subcommands([](const CLI::App*) { return true; }))
    own.push_back({sub->get_name(), sub->get_description()});
  own.insert(own.end(), options.begin(), options.end());
  out.push_back({command, own});
  out.insert(out.end(), behind.begin(), behind.end());
  // What a command has of its own, too, or what only stands alone.
  std::erase_if(options, [](const Word& w) { return w.word == "--help" || w.word == "--version"; });
  for (const CLI::App* sub : app.get_subcommands([](const CLI::App*) { return true; }))
    visit(*sub, command + " " + sub->get_name(), options, out);
}

std::vector<Place> places(const CLI::App& app) {
  std::vector<Place> all;
  visit(app, app.get_name(), {}, all);
  return all;
}

// In single quotes, for a shell.
std::string shell_quoted(const std::string& text) {
  std::string out = "'";
  for (const char c : text)
    out += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return out + "'";
}

// The commands below the first, as patterns of a case.
std::string patterns(const std::vector<Place>& all) {
  std::string out;
  for (size_t i = 1; i < all.size(); i++)
    out += (i == 1 ? "" : " | ") + shell_quoted(all[i].command);
  return out;
}

std::string for_bash(const std::vector<Place>& all) {
  std::string cases;
  for (const Place& p : all) {
    std::string words;
    for (const Word& w : p.words)
      words += (words.empty() ? "" : " ") + w.word;
    cases += fmt::format("    {}) words={} ;;\n", shell_quoted(p.command), shell_quoted(words));
  }
  return fmt::format(R"(# Completion of penstock for bash, by: penstock completion bash
_penstock() {{
  local at={0} word words=
  for word in "${{COMP_WORDS[@]:1:COMP_CWORD-1}}"; do
    case "$at $word" in
      {1}) at="$at $word" ;;
      *) at=${{at%% --*}} ;;
    esac
  done
  case $at in
{2}  esac
  mapfile -t COMPREPLY < <(compgen -W "$words" -- "${{COMP_WORDS[COMP_CWORD]}}")
}}
complete -o default -F _penstock {0}
)",
                     all.front().command, patterns(all), cases);
}

std::string for_zsh(const std::vector<Place>& all) {
  std::string cases;
  for (const Place& p : all) {
    cases += fmt::format("    {}) found=(", shell_quoted(p.command));
    for (const Word& w : p.words) {
      std::string word = w.word;
      CLI::detail::find_and_replace(word, ":", "\\:");
      cases += "\n      " + shell_quoted(word + ":" + w.text);
    }
    cases += ") ;;\n";
  }
  return fmt::format(R"(#compdef {0}
# Completion of penstock for zsh, by: penstock completion zsh
_penstock() {{
  local at={0} word
  local -a found
  for word in "${{(@)words[2,CURRENT-1]}}"; do
    case "$at $word" in
      {1}) at="$at $word" ;;
      *) at=${{at%% --*}} ;;
    esac
  done
  case $at in
{2}  esac
  _describe -V {0} found || _files
}}
# Loaded by zsh itself, or sourced.
if [[ $funcstack[1] == _penstock ]]; then _penstock "$@"; else compdef _penstock {0}; fi
)",
                     all.front().command, patterns(all), cases);
}

// fish asks a condition before each word: which command stands there.
std::string for_fish(const std::vector<Place>& all) {
  std::string cases;
  for (size_t i = 1; i < all.size(); i++)
    cases += " " + shell_quoted(all[i].command);
  std::string out = fmt::format(R"(# Completion of penstock for fish, by: penstock completion fish
function __penstock_at
    set -l at {}
    for word in (commandline -opc)[2..-1]
        if contains -- "$at $word"{}
            set at "$at $word"
        else
            set at (string replace -r ' --.*' '' -- $at)
        end
    end
    test "$at" = "$argv"
end
)",
                                all.front().command, cases);
  for (const Place& p : all)
    for (const Word& w : p.words) {
      const bool option = w.word.starts_with("--");
      // fish reads \' in single quotes.
      std::string text = w.text;
      CLI::detail::find_and_replace(text, "\\", "\\\\");
      CLI::detail::find_and_replace(text, "'", "\\'");
      out +=
          fmt::format("complete -c {} -n {} {} {} -d '{}'\n", all.front().command,
                      shell_quoted(fmt::format("__penstock_at \"{}\"", p.command)),
                      option ? "-l" : "-a", option ? w.word.substr(2) : shell_quoted(w.word), text);
    }
  return out;
}

}  // namespace

std::string completion(const CLI::App& app, const std::string& shell) {
  if (shell == "bash") return for_bash(places(app));
  if (shell == "zsh") return for_zsh(places(app));
  if (shell == "fish") return for_fish(places(app));
  return "";
}

}  // namespace penstock::cli

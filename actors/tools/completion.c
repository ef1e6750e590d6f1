/* completion, help, version: made from the tables of verbs and options, so that they never say anything else. */
#include <string.h>
#include "actors/tools/tool.h"

static void print_options(option_set set)
{
	for (unsigned i = 0; i < OPT__COUNT; i++)
		if ((set | OPTIONS_GLOBAL) >> i & 1 && !(i == OPT_TIMEOUT && set & O(RUN_TIMEOUT)))
			printf(" --%s", option_defs[i].name);
}

/* The first words, each once. */
static void print_firsts(void)
{
	for (size_t i = 0; i < n_tool_verbs; i++) {
		const char *name = tool_verbs[i].name;
		size_t len = strcspn(name, " ");
		if (i == 0 || strncmp(tool_verbs[i - 1].name, name, len) != 0 || tool_verbs[i - 1].name[len] != name[len])
			printf(" %.*s", (int)len, name);
	}
}

static void bash_cases(void)
{
	for (size_t i = 0; i < n_tool_verbs; i++) {
		printf("	'%s') opts='", tool_verbs[i].name);
		print_options(tool_verbs[i].options);
		puts("' ;;");
	}
}

static void bash_subverbs(void)
{
	for (size_t i = 0; i < n_tool_verbs; i++) {
		const char *name = tool_verbs[i].name;
		size_t len = strcspn(name, " ");
		bool first = name[len] && (i == 0 || strncmp(tool_verbs[i - 1].name, name, len + 1) != 0);
		if (!first)
			continue;
		printf("	%.*s) subs='", (int)len, name);
		for (size_t k = i; k < n_tool_verbs; k++)
			if (strncmp(tool_verbs[k].name, name, len + 1) == 0)
				printf(" %s", tool_verbs[k].name + len + 1);
		puts("' ;;");
	}
}

static void print_bash(void)
{
	puts("# bash completion of troupe; made by `troupe completion bash`");
	puts("_troupe()\n{");
	puts("	local cur=${COMP_WORDS[COMP_CWORD]} verb='' sub='' subs='' opts='' word i");
	puts("	for ((i = 1; i < COMP_CWORD; i++)); do");
	puts("		word=${COMP_WORDS[i]}");
	puts("		case $word in\n		--run-dir|--timeout|--coordinator) ((i++)) ;;\n		-*) ;;");
	puts("		*) if [[ -z $verb ]]; then verb=$word; elif [[ -z $sub ]]; then sub=$word; fi ;;\n		esac\n	done");
	puts("	case $verb in");
	bash_subverbs();
	puts("	esac");
	fputs("	if [[ -z $verb && $cur != -* ]]; then\n		COMPREPLY=($(compgen -W '", stdout);
	print_firsts();
	puts("' -- \"$cur\"))\n		return\n	fi");
	puts("	if [[ -n $subs && -z $sub && $cur != -* ]]; then\n		COMPREPLY=($(compgen -W \"$subs\" -- \"$cur\"))\n		return\n	fi");
	puts("	[[ -n $subs ]] && verb=\"$verb $sub\"");
	puts("	case $verb in");
	bash_cases();
	fputs("	'') opts='", stdout);
	print_options(0);
	puts("' ;;\n	esac");
	puts("	if [[ $cur == -* ]]; then\n		COMPREPLY=($(compgen -W \"$opts\" -- \"$cur\"))\n		return\n	fi");
	puts("	case $verb in\n	'queue '*|submit|peek)");
	puts("		COMPREPLY=($(compgen -W \"$(troupe queue list -q 2>/dev/null)\" -- \"$cur\")) ;;");
	puts("	'batch '*)\n		COMPREPLY=($(compgen -W \"$(troupe batch list -q --limit 100 2>/dev/null)\" -- \"$cur\")) ;;");
	puts("	'actor '*|logs|ping|tell|ask|crashes)");
	puts("		COMPREPLY=($(compgen -W \"$(troupe ps -q 2>/dev/null)\" -- \"$cur\"))\n		__ltrim_colon_completions \"$cur\" 2>/dev/null ;;\n	esac");
	puts("}\ncomplete -o default -F _troupe troupe");
}

static void print_zsh(void)
{
	puts("#compdef troupe\n# made by `troupe completion zsh`\nautoload -U +X bashcompinit && bashcompinit");
	print_bash();
}

static void fish_text(const char *s)
{
	for (; *s; s++)
		if (*s == '\'' || *s == '\\')
			printf("\\%c", *s);
		else
			putchar(*s);
}

static void print_fish(void)
{
	puts("# fish completion of troupe; made by `troupe completion fish`\ncomplete -c troupe -f");
	for (size_t i = 0; i < n_tool_verbs; i++) {
		const struct tool_verb *v = &tool_verbs[i];
		size_t len = strcspn(v->name, " ");
		if (v->name[len])
			printf("complete -c troupe -n '__fish_seen_subcommand_from %.*s' -a '%s' -d '", (int)len, v->name, v->name + len + 1);
		else
			printf("complete -c troupe -n __fish_use_subcommand -a '%s' -d '", v->name);
		fish_text(v->summary);
		puts("'");
		bool first = v->name[len] && (i == 0 || strncmp(tool_verbs[i - 1].name, v->name, len + 1) != 0);
		if (first)
			printf("complete -c troupe -n __fish_use_subcommand -a '%.*s'\n", (int)len, v->name);
		for (unsigned o = 0; o < OPT__COUNT; o++) {
			if (!(v->options >> o & 1))
				continue;
			printf("complete -c troupe -n '__fish_seen_subcommand_from %.*s' -l %s%s -d '", (int)len, v->name, option_defs[o].name,
			       option_defs[o].arg && option_defs[o].arg[0] != '[' ? " -r" : "");
			fish_text(option_defs[o].help);
			puts("'");
		}
	}
}

int verb_completion(struct tool *t)
{
	const char *shell = t->args.words[0];
	if (strcmp(shell, "bash") == 0)
		print_bash();
	else if (strcmp(shell, "zsh") == 0)
		print_zsh();
	else if (strcmp(shell, "fish") == 0)
		print_fish();
	else
		return tool_usage(t, "'%.40s' is none of bash, zsh, fish", shell);
	return EXIT_OK;
}

int verb_help_verb(struct tool *t)
{
	unsigned used;
	if (t->args.n_words == 0) {
		verb_print_all(stdout);
		return EXIT_OK;
	}
	const struct tool_verb *v = verb_lookup(t->args.words, t->args.n_words, &used);
	if (v) {
		verb_help(stdout, v);
		return EXIT_OK;
	}
	if (verb_is_first_word(t->args.words[0]) && t->args.n_words == 1) {
		verb_print_of(stdout, t->args.words[0]);
		return EXIT_OK;
	}
	struct error e;
	verb_unknown(t->args.words, t->args.n_words, &e);
	failure_print(stderr, "help", "USAGE", &e);
	return EXIT_USAGE;
}

int verb_version(struct tool *t)
{
	puts("troupe " TROUPE_VERSION);
	return EXIT_OK;
}

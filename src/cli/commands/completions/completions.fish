# The command of the line; that of a conversion in its short form is convert. Nothing before the
# first word.
function __kdumpconv_command
    set -l words (commandline -opc)
    set -l is_value 0
    for word in $words[2..-1]
        if test $is_value = 1
            set is_value 0
            continue
        end
        switch $word
            case --
                echo convert
                return
            case '--*'
                contains -- $word $__kdumpconv_valued
                and set is_value 1
            case '-?*'
                # The value of a letter is the rest of the word, or else the next word.
                set -l letters (string split '' -- (string sub -s 2 -- $word))
                while set -q letters[1]
                    if contains -- -$letters[1] $__kdumpconv_valued
                        set -q letters[2]
                        or set is_value 1
                        break
                    end
                    set -e letters[1]
                end
            case '*'
                contains -- $word $__kdumpconv_commands
                and echo $word
                or echo convert
                return
        end
    end
end

function __kdumpconv_is
    test "$(__kdumpconv_command)" = "$argv[1]"
end

# The names that a list with commas does not have yet, with what it has in front.
function __kdumpconv_list
    set -l value (commandline -ct | string replace -r '^--?[^=]*=' '')
    set -l given (string split , -- $value)[1..-2]
    set -l front (string join , -- $given '')
    for described in $argv
        contains -- (string split \t -- $described)[1] $given
        or echo $front$described
    end
end

# No files, except where a line below has -F.
complete -c kdumpconv -f

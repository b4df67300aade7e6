# For ./bench and ./prove: a file of lines whose cells are separated by tabs, as a table for people.

# print_table FILE: the first line is the heading.
print_table() {
    awk -F '\t' '
        { for (i = 1; i <= NF; i++) { cell[NR, i] = $i; if (length($i) > width[i]) width[i] = length($i) } }
        NF > columns { columns = NF }
        END {
            for (line = 1; line <= NR; line++) {
                text = "|"
                for (i = 1; i <= columns; i++) text = text sprintf(" %-" width[i] "s |", cell[line, i])
                print text
                if (line > 1) continue
                text = "|"
                for (i = 1; i <= columns; i++) {
                    rule = sprintf("%-" width[i] "s", "")
                    gsub(/ /, "-", rule)
                    text = text " " rule " |"
                }
                print text
            }
        }' "$1"
}

package tables

import (
	"fmt"
	"regexp"
	"strings"
)

// Names of tables and indexes.
const (
	minName     = 3
	maxName     = 255
	namePattern = "[a-zA-Z0-9_.-]+"
)

var validName = regexp.MustCompile(`^` + namePattern + `$`)

func (s *Service) arn(table string) string {
	return fmt.Sprintf("arn:aws:dynamodb:%s:%s:table/%s", s.o.Region, s.o.Account, table)
}

// tableName is the name in a TableName member, which may also be the table's ARN.
func (s *Service) tableName(member string) (string, error) {
	name := strings.TrimPrefix(member, s.arn(""))
	switch {
	case len(name) < minName:
		return "", constraint("'"+name+"'", "tableName", "Member must have length greater than or equal to %d", minName)
	case strings.HasPrefix(name, "arn:"):
		return "", errNoTable() // of another account or region
	case len(name) > maxName:
		return "", constraint("'"+name+"'", "tableName", "Member must have length less than or equal to %d", maxName)
	case !validName.MatchString(name):
		return "", constraint("'"+name+"'", "tableName", "Member must satisfy regular expression pattern: %s", namePattern)
	}
	return name, nil
}
